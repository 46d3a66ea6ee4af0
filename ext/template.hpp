// What a codec keeps of the frames that it has seen: the bytes between the
// values, and the names of the members.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace mtmount {

// One step of a template: these bytes, then the value of this member.
struct Step {
    std::ptrdiff_t literal;  // offset of the bytes in the template's literals
    std::ptrdiff_t length;
    std::ptrdiff_t slot;
    int kind;
    bool is_element;
    bool is_ignored;
};

// The bytes of a frame between its values; those of its topic ID are among them.
struct Template {
    std::vector<Step> steps;
    std::string literals;
    std::ptrdiff_t tail = 0;               // offset of the bytes behind the last value
    std::ptrdiff_t topic_id_position = 0;  // number of steps before the topic ID
    std::int64_t last_use = 0;
};

// memcmp(...) == 0 without a call, for lengths of some 10 to 50 bytes.
inline bool are_equal(const char* a, const char* b, std::ptrdiff_t length) noexcept {
    constexpr std::ptrdiff_t WIDTH = sizeof(std::uint64_t);
    const auto difference = [=](std::ptrdiff_t i) {
        std::uint64_t of_a, of_b;
        std::memcpy(&of_a, a + i, WIDTH);
        std::memcpy(&of_b, b + i, WIDTH);
        return of_a ^ of_b;
    };
    if (length < WIDTH) return std::memcmp(a, b, static_cast<std::size_t>(length)) == 0;
    // The last word overlaps the one before it.
    std::uint64_t found = difference(length - WIDTH);
    for (std::ptrdiff_t i = 0; i < length - WIDTH; i += WIDTH) found |= difference(i);
    return found == 0;
}

// Finds the index of a name among those that were added.
class NameTable {
  public:
    void add(const char* name, std::size_t length) {
        names_.emplace_back(name, length);
        if (4 * names_.size() > 3 * places_.size()) {
            places_.assign(places_.empty() ? 16 : 2 * places_.size(), -1);
            for (std::size_t i = 0; i < names_.size(); ++i) insert(static_cast<std::ptrdiff_t>(i));
        } else {
            insert(static_cast<std::ptrdiff_t>(names_.size()) - 1);
        }
    }

    // -1: not there.
    std::ptrdiff_t find(const char* name, std::size_t length) const noexcept {
        if (places_.empty()) return -1;
        const std::size_t mask = places_.size() - 1;
        for (std::size_t place = hash(name, length) & mask;; place = (place + 1) & mask) {
            const std::ptrdiff_t i = places_[place];
            if (i < 0) return -1;
            const std::string& found = names_[static_cast<std::size_t>(i)];
            if (found.size() == length && std::memcmp(found.data(), name, length) == 0) return i;
        }
    }

  private:
    std::vector<std::string> names_;
    // A power of two, a quarter of them free at least.
    std::vector<std::ptrdiff_t> places_;

    void insert(std::ptrdiff_t i) noexcept {
        const std::string& name = names_[static_cast<std::size_t>(i)];
        const std::size_t mask = places_.size() - 1;
        std::size_t place = hash(name.data(), name.size()) & mask;
        while (places_[place] >= 0) place = (place + 1) & mask;
        places_[place] = i;
    }

    // The names are ours: a sender cannot choose them to collide.
    static std::size_t hash(const char* name, std::size_t length) noexcept {
        std::uint64_t h = length;
        while (length >= 8) {
            h = mix(h, name, 8);
            name += 8;
            length -= 8;
        }
        if (length > 0) h = mix(h, name, length);
        return static_cast<std::size_t>(h >> 32);
    }

    static std::uint64_t mix(std::uint64_t h, const char* bytes, std::size_t n) noexcept {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes, n);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        return h ^ (h >> 29);
    }
};

}  // namespace mtmount
