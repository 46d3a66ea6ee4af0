"""From the bytes of a frame to its members: what json.loads would accept, and nothing else."""

from lsst.ts.mtmount.core.drop_reason import DropReason, FrameError

from libc.math cimport isinf, trunc
from libc.stdint cimport int64_t

cdef bytes TOPIC_ID = b"topicID"


cdef double as_double(const char* value, const char* value_end) except? -1.0:
    """Read a JSON number with a fraction or an exponent as float() does.

    std::from_chars calls a number beyond the range of a double, at either
    end, out of range; Python makes it an infinity, zero or a subnormal.
    """
    cdef double number = 0.0
    if read_double(value, value_end, &number):
        return number
    return float(value[:value_end - value])


cdef int scan_frame(JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9:
    """Find all members of a frame; OUTCOME_UNEXPECTED if it is not the UTF-8 text of a JSON object."""
    if not scanner.scan_object(frame, length):
        return OUTCOME_UNEXPECTED
    if scanner.has_non_ascii:
        try:
            frame[:length].decode("utf-8")
        except UnicodeDecodeError:
            return OUTCOME_UNEXPECTED
    return OUTCOME_OK


cdef object scan_error(JsonScanner* scanner, const char* frame, Py_ssize_t length):
    """Say why `scan_frame` refused a frame."""
    cdef JsonError error = scanner.error
    offset = scanner.error_offset
    try:
        frame[:length].decode("utf-8")
    except UnicodeDecodeError as exception:
        return FrameError(
            DropReason.NOT_UTF8, f"{exception.reason} at byte {exception.start}", offset=exception.start
        )
    if length == 0:
        return FrameError(DropReason.NOT_JSON, "expected a JSON object, got nothing", offset=0)
    if error == JSON_NESTING:
        return FrameError(DropReason.NESTING, f"at byte {offset}", offset=offset)
    if error == JSON_NOT_OBJECT:
        return FrameError(DropReason.NOT_OBJECT, "", offset=0)
    if error == JSON_DIGITS:
        detail = f"an integer of too many digits at byte {offset}"
        return FrameError(DropReason.NOT_JSON, detail, offset=offset)
    return FrameError(DropReason.NOT_JSON, f"at byte {offset}", offset=offset)


cdef Py_ssize_t find_member(JsonScanner* scanner, const char* name, size_t length) noexcept:
    """The index of the last member of that name, -1 if there is none."""
    cdef Py_ssize_t i = <Py_ssize_t>scanner.members.size() - 1
    while i >= 0 and not key_is(scanner.members[i], name, length):
        i -= 1
    return i


cdef object find_topic_id(JsonScanner* scanner):
    """The frame's topic ID, an int.

    Raises
    ------
    FrameError
        If it is missing, or not a number that equals an integer.
    """
    cdef Py_ssize_t i = find_member(scanner, TOPIC_ID, len(TOPIC_ID))
    cdef double number
    cdef int64_t integer = 0
    if i < 0:
        raise FrameError(DropReason.TOPIC_ID, "expected a member topicID, got none")
    cdef Member* member = &scanner.members[i]
    if member.type == JSON_INTEGER:
        if read_integer(member.value, member.value_end, &integer):
            return integer
        try:
            return int(member.value[:member.value_end - member.value])
        except ValueError as error:
            # sys.set_int_max_str_digits was called since the limit was read.
            raise FrameError(DropReason.TOPIC_ID, f"topicID: {error}") from None
    if member.type == JSON_REAL:
        number = as_double(member.value, member.value_end)
        if not isinf(number) and number == trunc(number):
            return int(number)
    text = member.value[:min(member.value_end - member.value, 50)].decode("utf-8", "replace")
    raise FrameError(DropReason.TOPIC_ID, f"expected an integer for topicID, got {text}")
