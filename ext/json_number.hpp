// Numbers of JSON text, read with std::from_chars (correctly rounded).
//
// JSON's grammar is narrower than from_chars': "01", "1.", ".5", "1.e5",
// "inf" and "nan" are no JSON numbers. What json.loads makes of a number also
// differs from from_chars where that reports "out of range": a literal with a
// fraction or an exponent becomes an infinity or a (sub)normal near zero, an
// integer literal is an error. read_plain_double() leaves those to its caller.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <system_error>

namespace mtmount {

inline bool is_digit(char c) noexcept {
    return static_cast<unsigned char>(c - '0') < 10;
}

// The end of the JSON number that starts at `p`, or nullptr if none does.
// `is_integer` tells whether it has neither a fraction nor an exponent.
inline const char* scan_number(const char* p, const char* end, bool* is_integer) noexcept {
    if (p < end && *p == '-') ++p;
    if (p >= end || !is_digit(*p)) return nullptr;
    if (*p == '0') {
        ++p;
    } else {
        while (p < end && is_digit(*p)) ++p;
    }
    *is_integer = true;
    if (end - p >= 2 && *p == '.' && is_digit(p[1])) {
        p += 2;
        while (p < end && is_digit(*p)) ++p;
        *is_integer = false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        const char* q = p + 1;
        if (q < end && (*q == '+' || *q == '-')) ++q;
        if (q < end && is_digit(*q)) {
            while (q < end && is_digit(*q)) ++q;
            p = q;
            *is_integer = false;
        }
    }
    return p;
}

// What a run of at least one digit says; wrong from 20 digits on. `p` is moved
// behind it. Unlike from_chars, this is inlined.
inline uint64_t read_digits(const char*& p, const char* end) noexcept {
    uint64_t number = 0;
    do number = 10 * number + static_cast<uint64_t>(*p++ - '0'); while (p < end && is_digit(*p));
    return number;
}

// Read a double from a plain number and return its end; nullptr where anything
// asks for a closer look: no number, a grammar that only from_chars accepts, an
// exponent, a result out of range, a negative zero (json.loads("-0") is the
// integer 0, "-0.0" is not), or a very long literal. `end` may lie behind the
// number; at least two bytes at `p` must be readable.
inline const char* read_plain_double(const char* p, const char* end, double* value) noexcept {
    const char* digits = p + (*p == '-');
    if (!is_digit(*digits)) return nullptr;
    // Without exponents, so that a look at both ends of the text is enough.
    const auto result = std::from_chars(p, end, *value, std::chars_format::fixed);
    const char* stop = result.ptr;
    if (result.ec != std::errc() || stop - p > 64) return nullptr;
    if (stop[-1] == '.' || (stop < end && (*stop | 0x20) == 'e')) return nullptr;
    if (*digits == '0') {
        if (digits + 1 < stop && is_digit(digits[1])) return nullptr;
        if (*value == 0.0 && digits != p) return nullptr;
    }
    return stop;
}

// Read an integer from a plain integer literal and return its end; nullptr
// where anything asks for a closer look (see read_plain_double).
inline const char* read_plain_integer(const char* p, const char* end, int64_t* value) noexcept {
    const char* digits = p + (*p == '-');
    if (!is_digit(*digits)) return nullptr;
    const char* q = digits;
    const auto number = static_cast<int64_t>(read_digits(q, end));
    if (q - digits > 18 || (*digits == '0' && q - digits > 1)) return nullptr;
    *value = digits == p ? number : -number;
    return q;
}

// Read true or false and return its end; nullptr if there is neither.
inline const char* read_plain_boolean(const char* p, const char* end, int64_t* value) noexcept {
    if (end - p >= 5 && std::memcmp(p, "false", 5) == 0) {
        *value = 0;
        return p + 5;
    }
    if (end - p >= 4 && std::memcmp(p, "true", 4) == 0) {
        *value = 1;
        return p + 4;
    }
    return nullptr;
}

// Read the double in the whole of [p, end), which is a JSON number with a
// fraction or an exponent, or an integer. False: out of range (either way).
inline bool read_double(const char* p, const char* end, double* value) noexcept {
    const auto result = std::from_chars(p, end, *value);
    return result.ec == std::errc() && result.ptr == end;
}

// The same for an integer of at most 64 bits.
inline bool read_integer(const char* p, const char* end, int64_t* value) noexcept {
    const auto result = std::from_chars(p, end, *value);
    return result.ec == std::errc() && result.ptr == end;
}

}  // namespace mtmount
