// A JSON text seen as its members: what json.loads would accept, found without
// building a value. Never recurses; reads nothing at or behind `end`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "json_number.hpp"

namespace mtmount {

enum JsonType : int {
    JSON_INTEGER,
    JSON_REAL,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_NAN,
    JSON_INFINITY,
    JSON_MINUS_INFINITY,
    JSON_STRING,
    JSON_OBJECT,
    JSON_ARRAY,
};

enum JsonError : int {
    JSON_OK,
    JSON_SYNTAX,      // not JSON
    JSON_NESTING,     // nested deeper than MAX_NESTING
    JSON_DIGITS,      // an integer of more digits than Python converts
    JSON_NOT_OBJECT,  // JSON, but no object
};

// Objects and arrays open at once, the outermost one included.
constexpr int MAX_NESTING = 512;

struct Member {
    const char* key;  // between the quotes, escapes as they are
    const char* value;
    const char* value_end;
    std::size_t key_length;
    bool key_has_escape;
    JsonType type;
};

class JsonScanner {
  public:
    std::vector<Member> members;
    JsonError error = JSON_OK;
    std::ptrdiff_t error_offset = 0;
    // Was a byte over 0x7F seen in a string? Then UTF-8 is left to check.
    bool has_non_ascii = false;
    // sys.get_int_max_str_digits(); 0: no limit.
    std::ptrdiff_t max_integer_digits = 4300;

    // Find all members of the object that `text` is.
    bool scan_object(const char* text, std::size_t length) {
        open(text, text + length);
        members.clear();
        const char* p = skip_space(text);
        if (p == end_) return fail(JSON_SYNTAX, p), false;
        if (*p != '{') {
            JsonType type;
            p = scan_value(p, &type, 0);
            if (p == nullptr) return false;
            p = skip_space(p);
            return fail(p == end_ ? JSON_NOT_OBJECT : JSON_SYNTAX, p), false;
        }
        p = skip_space(p + 1);
        if (p < end_ && *p == '}') {
            ++p;
        } else {
            while (true) {
                Member member;
                if (p == end_ || *p != '"') return fail(JSON_SYNTAX, p), false;
                member.key = p + 1;
                p = scan_string(p, &member.key_has_escape);
                if (p == nullptr) return false;
                member.key_length = static_cast<std::size_t>(p - 1 - member.key);
                p = skip_space(p);
                if (p == end_ || *p != ':') return fail(JSON_SYNTAX, p), false;
                member.value = p = skip_space(p + 1);
                p = scan_value(p, &member.type, 1);
                if (p == nullptr) return false;
                member.value_end = p;
                members.push_back(member);
                p = skip_space(p);
                if (p < end_ && *p == ',') {
                    p = skip_space(p + 1);
                } else if (p < end_ && *p == '}') {
                    ++p;
                    break;
                } else {
                    return fail(JSON_SYNTAX, p), false;
                }
            }
        }
        p = skip_space(p);
        if (p != end_) return fail(JSON_SYNTAX, p), false;
        return true;
    }

    // Begin on a text of which single values are scanned.
    void open(const char* begin, const char* end) {
        begin_ = begin;
        end_ = end;
        error = JSON_OK;
        has_non_ascii = false;
    }

    // The end of the value that starts at `p`, or nullptr (see `error`).
    // `depth` objects and arrays are open around it.
    const char* scan_value(const char* p, JsonType* type, int depth) {
        if (p == end_) return fail(JSON_SYNTAX, p);
        if (*p == '{' || *p == '[') {
            *type = *p == '{' ? JSON_OBJECT : JSON_ARRAY;
            return scan_container(p, depth);
        }
        return scan_scalar(p, type);
    }

  private:
    const char* begin_ = nullptr;
    const char* end_ = nullptr;

    const char* fail(JsonError code, const char* p) {
        error = code;
        error_offset = p - begin_;
        return nullptr;
    }

    const char* skip_space(const char* p) const {
        while (p < end_ && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) ++p;
        return p;
    }

    // `p` points at the opening quote.
    const char* scan_string(const char* p, bool* has_escape) {
        *has_escape = false;
        for (++p; p < end_; ++p) {
            const auto c = static_cast<unsigned char>(*p);
            if (c == '"') return p + 1;
            if (c < 0x20) return fail(JSON_SYNTAX, p);
            if (c >= 0x80) has_non_ascii = true;
            if (c != '\\') continue;
            *has_escape = true;
            if (++p == end_) break;
            if (*p == 'u') {
                if (end_ - p < 5) return fail(JSON_SYNTAX, p);
                for (int i = 0; i < 4; ++i) {
                    if (hex_digit(*++p) < 0) return fail(JSON_SYNTAX, p);
                }
            } else if (*p == '\0' || std::strchr("\"\\/bfnrt", *p) == nullptr) {
                return fail(JSON_SYNTAX, p);
            }
        }
        return fail(JSON_SYNTAX, end_);
    }

    const char* scan_word(const char* p, const char* word, JsonType found, JsonType* type) {
        const std::size_t length = std::strlen(word);
        if (static_cast<std::size_t>(end_ - p) < length || std::memcmp(p, word, length) != 0) {
            return fail(JSON_SYNTAX, p);
        }
        *type = found;
        return p + length;
    }

    const char* scan_scalar(const char* p, JsonType* type) {
        bool flag;
        switch (*p) {
            case '"':
                *type = JSON_STRING;
                return scan_string(p, &flag);
            case 't':
                return scan_word(p, "true", JSON_TRUE, type);
            case 'f':
                return scan_word(p, "false", JSON_FALSE, type);
            case 'n':
                return scan_word(p, "null", JSON_NULL, type);
            case 'N':
                return scan_word(p, "NaN", JSON_NAN, type);
            case 'I':
                return scan_word(p, "Infinity", JSON_INFINITY, type);
            case '-':
                if (end_ - p > 1 && p[1] == 'I') return scan_word(p, "-Infinity", JSON_MINUS_INFINITY, type);
        }
        const char* stop = scan_number(p, end_, &flag);
        if (stop == nullptr) return fail(JSON_SYNTAX, p);
        *type = flag ? JSON_INTEGER : JSON_REAL;
        if (flag && max_integer_digits > 0 && stop - p - (*p == '-') > max_integer_digits) {
            return fail(JSON_DIGITS, p);
        }
        return stop;
    }

    // `p` points at the opening bracket of an object or array, `outer` others
    // are open around it.
    const char* scan_container(const char* p, int outer) {
        bool is_object[MAX_NESTING];
        int depth = 0;
        bool flag;
        JsonType type;
        bool expect_value = true;  // at a value; else behind one
        while (true) {
            if (expect_value) {
                if (p == end_) return fail(JSON_SYNTAX, p);
                if (*p == '{' || *p == '[') {
                    if (outer + depth >= MAX_NESTING) return fail(JSON_NESTING, p);
                    is_object[depth++] = *p == '{';
                    p = skip_space(p + 1);
                    if (p == end_) return fail(JSON_SYNTAX, p);
                    if (*p == (is_object[depth - 1] ? '}' : ']')) {
                        ++p;
                        if (--depth == 0) return p;
                        expect_value = false;
                    } else if (is_object[depth - 1]) {
                        p = scan_key(p);
                        if (p == nullptr) return nullptr;
                    }
                    continue;
                }
                p = scan_scalar(p, &type);
                if (p == nullptr) return nullptr;
                expect_value = false;
            }
            p = skip_space(p);
            if (p == end_) return fail(JSON_SYNTAX, p);
            flag = is_object[depth - 1];
            if (*p == ',') {
                p = skip_space(p + 1);
                if (flag) {
                    p = scan_key(p);
                    if (p == nullptr) return nullptr;
                }
                expect_value = true;
            } else if (*p == (flag ? '}' : ']')) {
                ++p;
                if (--depth == 0) return p;
            } else {
                return fail(JSON_SYNTAX, p);
            }
        }
    }

    // A key, its colon, and the white space around that.
    const char* scan_key(const char* p) {
        bool flag;
        if (p == end_ || *p != '"') return fail(JSON_SYNTAX, p);
        p = scan_string(p, &flag);
        if (p == nullptr) return nullptr;
        p = skip_space(p);
        if (p == end_ || *p != ':') return fail(JSON_SYNTAX, p);
        return skip_space(p + 1);
    }

  public:
    static int hex_digit(char c) noexcept {
        if (is_digit(c)) return c - '0';
        const char lower = static_cast<char>(c | 0x20);
        return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
    }
};

// Decode the escapes of a key of ASCII characters into `out`. Returns its
// length, or -1 where it is longer than `capacity` or not ASCII: then it is
// none of the names that a table knows.
inline std::ptrdiff_t unescape_ascii(const Member& member, char* out, std::ptrdiff_t capacity) noexcept {
    std::ptrdiff_t length = 0;
    const char* end = member.key + member.key_length;
    for (const char* p = member.key; p < end; ++p, ++length) {
        if (length == capacity) return -1;
        char c = *p;
        if (c == '\\') {
            c = *++p;
            if (c == 'u') {
                int code = 0;
                for (int i = 0; i < 4; ++i) code = code * 16 + JsonScanner::hex_digit(*++p);
                if (code > 0x7F) return -1;
                c = static_cast<char>(code);
            } else if (c == 'b') {
                c = '\b';
            } else if (c == 'f') {
                c = '\f';
            } else if (c == 'n') {
                c = '\n';
            } else if (c == 'r') {
                c = '\r';
            } else if (c == 't') {
                c = '\t';
            }
        } else if (static_cast<unsigned char>(c) > 0x7F) {
            return -1;
        }
        out[length] = c;
    }
    return length;
}

inline bool key_is(const Member& member, const char* name, std::size_t length) noexcept {
    if (!member.key_has_escape) {
        return member.key_length == length && std::memcmp(member.key, name, length) == 0;
    }
    char text[128];
    const std::ptrdiff_t text_length = unescape_ascii(member, text, sizeof text);
    return text_length == static_cast<std::ptrdiff_t>(length) && std::memcmp(text, name, length) == 0;
}

inline bool is_topic_id(const Member& member) noexcept {
    constexpr char NAME[] = "topicID";
    return key_is(member, NAME, sizeof NAME - 1);
}

}  // namespace mtmount
