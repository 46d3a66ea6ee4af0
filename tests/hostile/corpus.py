r"""JSON at its limits and beyond them.

Each collection maps a name to JSON text as it comes over the wire: bytes, which
may be no JSON at all. What must become of it is for the oracle to say.

Texts without white space are written between white space, and raw: ``\u0041``
is six characters.
"""

from collections.abc import Iterable

from ..core.topics import MIXED_ID, mixed_frame

#: From this integer on a literal is too large for a double.
FIRST_INFINITE = 2**1024 - 2**970
#: As many digits as Python converts to an integer, by default.
MAX_DIGITS = 4300
#: Elements of containers that are large.
MANY = 10_000
#: More than the limit of a frame [bytes].
HUGE = 10_000_000


def exact(numerator: int, power: int) -> bytes:
    """All decimal digits of numerator / 2**power."""
    digits = b"%0*d" % (power + 1, numerator * 5**power)
    return digits[:-power] + b"." + digits[-power:]


def next_to(digits: bytes) -> list[bytes]:
    """A number with all its digits, which end with a 5, and the numbers a little below and above."""
    return [digits[:-1] + end for end in (b"4", b"4999", b"5", b"5000", b"5001", b"6")]


def around(*numbers: int) -> list[bytes]:
    """Integers, their neighbours, and the same below zero."""
    return [b"%d" % (sign * (number + step)) for number in numbers for sign in (1, -1) for step in (-1, 0, 1)]


def named(kind: str, texts: str, *others: Iterable[bytes]) -> dict[str, bytes]:
    """Name each of the texts, and of the others, by what it looks like."""
    members = [text.encode() for text in texts.split()] + [text for other in others for text in other]
    return {
        f"{kind} {i} {text[:20].decode('ascii', 'backslashreplace')}": text for i, text in enumerate(members)
    }


def nested(opening: bytes, inner: bytes, closing: bytes, *depths: int) -> list[bytes]:
    """Open and close brackets so many times."""
    return [opening * depth + inner + closing * depth for depth in depths]


INTEGERS = named(
    "integer",
    "0 -0 1 -1 9 10 127 128 -129 255 256 65536",
    around(2**31, 2**32, 2**53, 2**63, 2**64, FIRST_INFINITE),
    around(10**15, 10**18, 10**19, 10**20, 10**22, 10**23),
    [b"1" + b"0" * n for n in (307, 308, 309, 310, 400, MAX_DIGITS - 1, MAX_DIGITS)],
    [sign + b"9" * n for sign in (b"", b"-") for n in (64, 65, 308, 309, MAX_DIGITS, MAX_DIGITS + 1, HUGE)],
)

REALS = named(
    "real",
    """
    0.0 -0.0 0e0 0E+5 -0e-5 0.0e999999999999 -0.0e-999999999999
    1.0 1.5 -1.5 0.1 1e0 1E0 1e+0 1e-0 1e00000000000000000001 1e22 1e23 8.5e15 4.35 0.000001
    1e308 1e309 -1e309 1e-307 1e-323 1e-324 1e-400 123.456e-789
    1e99999999999999999999 -1e99999999999999999999 1e-99999999999999999999
    4.9e-324 2.4703282292062327e-324 2.4703282292062328e-324 2.2250738585072011e-308
    1.7976931348623157e308 1.7976931348623158e308 1.7976931348623159e308
    0.9999999999999999999999999 -0.9999999999999999 1.0000000000000002 9007199254740993.0
    2147483647.5 2147483648.0 -2147483648.9 -2147483649.0 9.3e18 -9.3e18
    9223372036854774784.0 9223372036854775807.0 -9223372036854775808.0 -9223372036854777856.0
    """,
    [b"0." + b"0" * n + b"1" for n in (50, 320, 400)],
    [b"1" + b"0" * n + b".0" for n in (50, 308, 309)],
    [b"1" + b"0" * n + b"e-%d" % n for n in (5, 60, 400)],
    [b"0." + b"0" * n + b"1e%d" % (n + 1) for n in (5, 60, 400)],
    # Doubles, ties between two of them, and what is a little to each side.
    next_to(exact(2**53 + 1, 53)),
    next_to(exact(2**53 + 3, 53)),
    next_to(exact(1, 1074)),
    next_to(exact(1, 1075)),
    next_to(exact(3, 1075)),
    next_to(exact(2**53 - 1, 1075)),
    next_to(exact(2**52 - 1, 1074)),
    [b"%d.%s1" % (2**53 + 1, b"0" * 40), b"%d.%s" % (2**53, b"9" * 40)],
    [b"%d.%s" % (FIRST_INFINITE - step, digits) for step in (0, 1) for digits in (b"0", b"9" * 40)],
    [b"3." + b"1" * HUGE, b"1e" + b"0" * 1_000_000 + b"1"],
)

WORDS = named("word", "true false null NaN Infinity -Infinity")

NO_NUMBERS = named(
    "no number",
    """
    +1 ++1 - --1 +-1 01 -01 00 -00 007 0123.5 00.5 1. -1. .5 -.5 . -. 1..5 1.5.5 1.e5 .e5
    1e 1E 1e+ 1e- 1e5.5 1e5e5 1ee5 1e++5 1e+-5 e5 0e 0.e 0.0e -e5 1,000 0x10 0X1F 0b1 0o7 1_000 1'000
    1f 1d 1L 1u 0x1p3 1p3 #1 1a a1 1- 1+ 1e1- 1:1 1; $1 1% 1/2 (1) 1// 1/**/
    -NaN +NaN nan NAN Nan NaNs NaN1 +Infinity infinity INFINITY inf Inf -inf -Inf --Infinity
    Infinit -Infinit Infinityy 1Infinity \uff11 \u2212
    """,
    [b"- 1", b"-\n1", b"1 000", b"- Infinity", b"1\0", b"\x001", b"1\x7f", b"1\xff", b"1\xc2"],
    [text.encode() for text in ("\uff11", "\u0663", "1\u00a0", "\u22121", "\u221e")],
)

NO_WORDS = named(
    "no word",
    """
    True TRUE tru truee true1 t trUe False fals falsee f Null nul nulll n NULL None nil undefined
    N Na I -I yes on truefalse nulltrue nan a * & ! @ ~ ` ; = < \\ \\u0031
    """,
    [b"true false", b"tr\0e", b"\x80", b"\0", b"t\nrue"],
)

STRINGS = named(
    "string",
    r"""
    "" "a" "1" "\"" "\\" "\/" "/" "\b\f\n\r\t" "\\\"" "{}[]:," "//#'"
    "\u0000" "\u0022" "\u005c" "\u00e9" "\uFfFf" "\uaBcD" "\u005C\u0022"
    "\ud83d\udd2d" "\ud83d" "\udd2d" "\udd2d\ud83d" "\ud83d\ud83d\udd2d" "\ud83dx" "\ud83d\n" "\ud83d\u0041"
    "\uD800\uDC00" "\uDBFF\uDFFF" "\udbff"
    """,
    [
        b'"%s"' % text.encode()
        for text in (
            *("\x7f", "\x80\x9f", "\xa0\u3000", "é", "e\u0301\u202e", "\u07ff", "\u0800", "\u2028\u2029"),
            *(
                "\ud7ff",
                "\ue000",
                "\ufdd0",
                "\ufeff",
                "\ufffe\uffff",
                "\U00010000",
                "\U0001f52d",
                "\U0010ffff",
            ),
            *("é" * 100_000, "x" * 1_000_000, '\\"' * 100_000, "\\\\" * 100_000, " ' /* */ // # "),
        )
    ],
)

NO_STRINGS = named(
    "no string",
    r"""
    " \""" "a a" 'a' `a` "\" "\\\" "a\ "a""b" "a"b u"a" r"a" b"a"
    "\x41" "\a" "\v" "\0" "\e" "\'" "\U0041" "\N" "\B" "\u{41}" "\é" "\u004é" “a”
    "\u" "\u0" "\u00" "\u004" "\u004g" "\u+041" "\u-041" "\u00 "\u0041 "\ud83d\u" "\ud83d\udd2"
    "\u00\u41" "\u0_41"
    """,
    [b'"%s"' % text for text in b"\n \r \t \0 a\0b \x01 \x1f \b \x0c \\\n \\\0".split(b" ")],
    [b'"\\ "', b'"\\u 041"', b'"a" "b"', "\u2028".encode()],
)

#: Bytes that are no UTF-8, by why they are not.
NO_UTF8 = {
    "lone continuation": b"\x80",
    "last continuation": b"\xbf",
    "two continuations": b"\x80\x80",
    "lone lead of 2": b"\xc3",
    "lone lead of 3": b"\xe2",
    "lone lead of 4": b"\xf0",
    "cut after 2 of 3": b"\xe2\x82",
    "cut after 2 of 4": b"\xf0\x9f",
    "cut after 3 of 4": b"\xf0\x9f\x94",
    "cut, then ASCII": b"\xe2\x82a",
    "lead, then lead": b"\xc3\xc3\xa9",
    "overlong NUL": b"\xc0\x80",
    "overlong slash": b"\xc0\xaf",
    "overlong quote": b"\xc0\xa2",
    "overlong 0x7f": b"\xc1\xbf",
    "overlong of 3": b"\xe0\x80\xaf",
    "longest overlong of 3": b"\xe0\x9f\xbf",
    "overlong of 4": b"\xf0\x80\x80\xaf",
    "longest overlong of 4": b"\xf0\x8f\xbf\xbf",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "pair of surrogates": b"\xed\xa0\xbd\xed\xb4\xad",
    "over U+10FFFF": b"\xf4\x90\x80\x80",
    "lead 0xf5": b"\xf5\x80\x80\x80",
    "of 5": b"\xf8\x88\x80\x80\x80",
    "of 6": b"\xfc\x84\x80\x80\x80\x80",
    "0xfe": b"\xfe",
    "0xff": b"\xff",
    "UTF-16 mark": b"\xff\xfe",
    "Latin-1": b"caf\xe9",
    "far behind": b"x" * 100_000 + b"\xff",
}

CONTAINERS = named(
    "container",
    r"""
    [] {} [[]] [{}] {"":{}} [1] [1,2] [null] [0] {"a":1} {"a":1,"a":2} {"a":{"a":{"a":1}}} {"":0,"":1}
    {"a":[1,{"b":[2]}]} [true,false,null,NaN,Infinity,-Infinity,"",-0,0.5e-5]
    ["\ud800"] {"\ud800":1,"\u0000":2}
    """,
    [b"[ ]", b"{ }", b"[\t\n\r ]", b"[1 , 2 ]", b'{"a" \n:\t1 ,\r"b" : 2}'],
    [b"[" + b"1," * MANY + b"1]", b"{" + b'"a":1,' * MANY + b'"a":1}'],
    nested(b"[", b"", b"]", 2, 510, 511),
    nested(b'{"a":', b"1", b"}", 2, 510, 511),
    nested(b'[{"a":', b"0", b"}]", 255),
)

NO_CONTAINERS = named(
    "no container",
    """
    [ ] { } [} {] [1} {"a":1] [[] []] {}} {{}} [{]} [][ [,] [1,] [,1] [1,,2] [1;2] [1:2] [1 [1, [, [:] ["a":1]
    {,} {"a":1,} {,"a":1} {"a":1,,"b":2} {"a"} {"a":} {:1} {"a",1} {"a"::1} {a:1} {1:1}
    {null:1} {true:1} {[]:1}
    {'a':1} {"a":1 {"a": {"a {"a" {"a"=1} {"a":1;"b":2} {"a":1,"b"} <a/> [/**/1] [1/**/] (1,) [1) [...]
    """,
    [b"[1 2]", b'{"a":1 "b":2}', b'{"a" 1}', b'{"a":1 , }', b"[1 , ]", b"[\0]", b"[\x0b]", b"[\x0c]"],
    [b"[1] // c", b"[1] # c", b"/* c */[1]"],
    nested(b"[", b"", b"]", 512, 513, 600, 100_000),
    nested(b'{"a":', b"1", b"}", 512, 513, 600, 100_000),
    [opening * 100_000 for opening in (b"[", b'{"a":', b'[{"a":', b"[[],")],
)

#: All texts that may stand where a value is expected.
VALUES: dict[str, bytes] = {
    **INTEGERS,
    **REALS,
    **WORDS,
    **NO_NUMBERS,
    **NO_WORDS,
    **STRINGS,
    **NO_STRINGS,
    **CONTAINERS,
    **NO_CONTAINERS,
    **{f"no UTF-8: {name}": b'"%s"' % text for name, text in NO_UTF8.items()},
    "nothing": b"",
}

#: What is white space between tokens, looks like it, or is taken for it elsewhere.
SPACES = {
    **{f"{code:#04x}": bytes([code]) for code in (*range(33), 0x7F)},
    **{f"U+{code:04X}": chr(code).encode() for code in (0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x202F, 0xFEFF)},
    "much": b" \t\n\r" * 50_000,
    "comment": b"/* */",
    "line comment": b"// \n",
    "shell comment": b"# \n",
    "escaped": b"\\n",
}

GOOD = mixed_frame()
MEMBERS = GOOD[1:-1]


def spaced(space: bytes) -> list[bytes]:
    """Good frames with something between their tokens, in several places."""
    good = mixed_frame(unknown="[1, {}]")
    tokens = (b"{", b"}", b":", b",", b"[", b"1.5", b'"d"', b"true")
    return [space + good, good + space, *(good.replace(token, token + space) for token in tokens)]


def with_member(text: bytes) -> bytes:
    """A good frame with more members behind its own."""
    return b"{%s, %s}" % (MEMBERS, text)


def with_value(member: str, text: bytes) -> bytes:
    """A good frame, but for the value of one member."""
    return mixed_frame(**{member: "\0"}).replace(b"\0", text)


def many_members(n: int) -> bytes:
    """Members of different names, none of which is known."""
    return b", ".join(b'"%x": 0' % i for i in range(n))


#: Frames by what they are.
FRAMES: dict[str, bytes] = {
    "empty": b"",
    "one NUL": b"\0",
    "NULs": bytes(1000),
    "only spaces": b" \t\n\r" * 100,
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "two byte order marks": b"\xef\xbb\xbf" * 2 + GOOD,
    "byte order mark alone": b"\xef\xbb\xbf",
    **{
        encoding: GOOD.decode().encode(encoding)
        for encoding in ("utf-16", "utf-16-be", "utf-32", "utf-32-le")
    },
    "two objects": GOOD * 2,
    "two objects, comma": GOOD + b"," + GOOD,
    "in an array": b"[" + GOOD + b"]",
    "NUL behind": GOOD + b"\0",
    "NUL in front": b"\0" + GOOD,
    "quoted": b'"' + GOOD.replace(b'"', b'\\"') + b'"',
    "text behind": GOOD + b" x",
    "no braces": MEMBERS,
    "no end": GOOD[:-1],
    "no begin": GOOD[1:],
    "single quotes": GOOD.replace(b'"', b"'"),
    "trailing comma": b"{" + MEMBERS + b",}",
    "leading comma": b"{," + MEMBERS + b"}",
    "two commas": GOOD.replace(b", ", b",, ", 1),
    "no commas": GOOD.replace(b",", b" "),
    "no colons": GOOD.replace(b":", b" "),
    "equals signs": GOOD.replace(b":", b"="),
    "bare keys": GOOD.replace(b'"', b""),
    "no members": b"{}",
    "topicID alone": b'{"topicID": %d}' % MIXED_ID,
    "topicID misspelled": GOOD.replace(b'"topicID"', b'"topicId"'),
    "topicID twice, same": with_member(b'"topicID": %d' % MIXED_ID),
    "topicID twice, last bad": with_member(b'"topicID": "x"'),
    "topicID twice, first bad": mixed_frame(topicID="null")[:-1] + b', "topicID": %d}' % MIXED_ID,
    "topicID escaped": GOOD.replace(b"topicID", b"\\u0074opicI\\u0044"),
    "topicID nested": b'{"a": {"topicID": %d}}' % MIXED_ID,
    "topicID nested first": b'{"a": {"topicID": 1}, ' + MEMBERS + b"}",
    "key with NUL": with_member(b'"d\0": 1'),
    "key with escaped NUL": with_member(b'"d\\u0000": 1'),
    "keys like others' begins": with_member(b'"da": 1, "da22": 2, "": 3'),
    "keys in capitals": with_member(b'"D": 1, "TOPICID": 2'),
    "keys in other forms": with_member('"d\u0301": 1, "\uff44": 2'.encode()),
    "keys escaped": GOOD.replace(b'"d"', b'"\\u0064"').replace(b'"la1"', b'"\\u006c\\u00611"'),
    "keys escaped and plain": with_member(b'"\\u0064": 17, "d": 18, "\\u0064": 19'),
    "keys of lone surrogates": with_member(b'"\\ud800": 1, "\\udfff\\ud800": 2'),
    **{f"key of {n}": with_member(b'"%s": 1' % (b"k" * n)) for n in (127, 128, 1_000_000)},
    **{f"key of {n} escapes": with_member(b'"%s": 1' % (b"\\u0064" * n)) for n in (127, 128, 150_000)},
    "same member often": b"{" + MEMBERS + b', "d": 7' * MANY + b"}",
    "same member often, last bad": b"{" + MEMBERS + b', "d": 7' * MANY + b', "d": []}',
    "same member often, escaped": b"{" + MEMBERS + b', "\\u0064": 7' * MANY + b"}",
    "topicID often": b"{" + MEMBERS + b', "topicID": %d' % MIXED_ID * MANY + b"}",
    "200,000 members": with_member(many_members(200_000)),
    "200,000 members in front": b"{" + many_members(200_000) + b", " + MEMBERS + b"}",
    "200,000 empty keys": b"{" + MEMBERS + b',"":0' * 200_000 + b"}",
    "as many members as a template has": with_member(many_members(4096 - MEMBERS.count(b","))),
    "more members than a template has": with_member(many_members(4097 - MEMBERS.count(b","))),
    "value of 1 MB": with_member(b'"a": [' + b"0," * 500_000 + b"0]"),
    "all bytes": bytes(range(256)),
    "all bytes in a string": with_member(b'"a": "' + bytes(range(256)) + b'"'),
    **{f"{text!r} often": text * 100_000 for text in (b"{", b"}", b'"', b"\\", b"[", b"0", b"-", b",")},
    **{f"{text!r} inside": b'{"a"' + text * 100_000 for text in (b":", b",", b":-", b":0", b":[", b'"')},
}


def hostile_frames() -> dict[str, bytes]:
    """Return all frames: those above, values as members, and spaces between tokens."""
    frames = dict(FRAMES)
    for name, text in VALUES.items():
        frames[f"unknown = {name}"] = with_member(b'"unknown": ' + text)
        # Larger ones say nothing new in a known member.
        if len(text) < MANY:
            frames |= {f"{member} = {name}": with_value(member, text) for member in ("d", "l", "topicID")}
    for name, text in NO_UTF8.items():
        frames[f"no UTF-8 behind: {name}"] = GOOD + text
        frames[f"no UTF-8 in a key: {name}"] = with_member(b'"%s": 1' % text)
    for name, space in SPACES.items():
        frames |= {f"space {name} {i}": frame for i, frame in enumerate(spaced(space))}
    return frames


#: Every frame by its name.
HOSTILE_FRAMES = hostile_frames()
