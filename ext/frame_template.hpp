// What a codec keeps of the frames that it has seen: the bytes between the
// values, and the names of the members.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace mtmount {

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

// One step of a template: these bytes, then the value of this member.
struct Step {
    std::ptrdiff_t literal = 0;  // offset of the bytes in the template's literals
    std::ptrdiff_t length = 0;
    std::ptrdiff_t slot = 0;
    int kind = 0;
    bool is_element = false;
    bool is_ignored = false;
};

// The bytes of a frame between its values; those of its topic ID are among them.
class Template {
  public:
    std::vector<Step> steps;
    std::ptrdiff_t topic_id_position = 0;  // number of steps before the topic ID
    std::int64_t last_use = 0;
    bool has_unknown = false;  // members that the interface lacks

    // Make room for so many steps, and frames of this length.
    void reserve(std::size_t num_steps, std::size_t length) {
        steps.reserve(num_steps);
        literals_.reserve(length);
    }

    // Add the bytes from `literal` to `value`, and the step that begins with them.
    void add(Step step, const char* literal, const char* value) {
        step.literal = static_cast<std::ptrdiff_t>(literals_.size());
        step.length = value - literal;
        literals_.append(literal, static_cast<std::size_t>(step.length));
        steps.push_back(step);
    }

    // Add the bytes behind the last value.
    void add_tail(const char* literal, const char* end) {
        tail_ = literals_.size();
        literals_.append(literal, static_cast<std::size_t>(end - literal));
    }

    // Are there the bytes of a step, and a value's first byte? (The tail,
    // looked at last, holds one byte more at least.)
    bool has_step(const Step& step, const char* p, const char* end) const noexcept {
        return end - p >= step.length + 2 && are_equal(p, literals_.data() + step.literal, step.length);
    }

    bool has_tail(const char* p, const char* end) const noexcept {
        const std::size_t length = literals_.size() - tail_;
        return static_cast<std::size_t>(end - p) == length &&
               are_equal(p, literals_.data() + tail_, static_cast<std::ptrdiff_t>(length));
    }

  private:
    std::string literals_;
    std::size_t tail_ = 0;
};

// Frames of more members than this are decoded, but no template is made of them.
constexpr std::size_t MAX_TEMPLATE_MEMBERS = 4096;

// The templates of a topic. A frame that none of them has costs a comparison with each.
class Templates {
  public:
    std::size_t size() const noexcept { return templates_.size(); }

    void clear() noexcept {
        templates_.clear();
        last_ = 0;
    }

    // The number of the i-th one to try, beginning with the one that a frame had last.
    std::size_t place(std::size_t i) const noexcept { return (last_ + i) % templates_.size(); }

    const Template& at(std::size_t number) const noexcept { return templates_[number]; }

    void note_use(std::size_t number) noexcept {
        templates_[number].last_use = ++num_uses_;
        num_with_unknown_ += templates_[number].has_unknown;
        last_ = number;
    }

    // Say of a frame that none of them has whether it has members that the interface lacks.
    void note_other(bool has_unknown) noexcept {
        num_with_unknown_ += has_unknown;
        has_unknown_ = has_unknown;
    }

    // Frames that had members that the interface lacks.
    std::int64_t num_with_unknown() const noexcept { return num_with_unknown_; }

    // Keep one of the frame that was noted last, maybe in place of that used longest ago; returns its
    // number.
    std::size_t keep(Template&& made) {
        made.has_unknown = has_unknown_;
        std::size_t number = templates_.size();
        if (number < MAX_TEMPLATES) {
            templates_.push_back(std::move(made));
        } else {
            number = 0;
            for (std::size_t i = 1; i < templates_.size(); ++i) {
                if (templates_[i].last_use < templates_[number].last_use) number = i;
            }
            templates_[number] = std::move(made);
        }
        // Not yet used: of orders that take turns, some keep their place.
        templates_[number].last_use = num_uses_;
        last_ = number;
        return number;
    }

  private:
    static constexpr std::size_t MAX_TEMPLATES = 3;

    std::vector<Template> templates_;
    std::size_t last_ = 0;
    std::int64_t num_uses_ = 0;
    std::int64_t num_with_unknown_ = 0;
    bool has_unknown_ = false;
};

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
