// Tells libFuzzer which branches of an extension module were taken.
//
// libFuzzer wants Clang's inline counters. GCC has a callback for each branch
// instead, from which this makes the same counters. It is linked into each
// extension module and hidden there, so that nobody else's callback is taken.

#include <cstddef>
#include <cstdint>

extern "C" {
// Of libFuzzer: counters, and for each the address of its branch and a flag.
void __sanitizer_cov_8bit_counters_init(std::uint8_t* begin, std::uint8_t* end);
void __sanitizer_cov_pcs_init(const std::uintptr_t* begin, const std::uintptr_t* end);
}

namespace {

constexpr int COUNTER_BITS = 13;
constexpr std::size_t NUM_COUNTERS = std::size_t{1} << COUNTER_BITS;

std::uint8_t counters[NUM_COUNTERS];
std::uintptr_t addresses[NUM_COUNTERS][2];

__attribute__((constructor, no_sanitize_coverage)) void announce_counters() {
    // The addresses only name the counters in reports.
    for (std::size_t i = 0; i < NUM_COUNTERS; ++i) {
        addresses[i][0] = reinterpret_cast<std::uintptr_t>(&counters[i]);
    }
    __sanitizer_cov_8bit_counters_init(counters, counters + NUM_COUNTERS);
    __sanitizer_cov_pcs_init(addresses[0], addresses[NUM_COUNTERS]);
}

}  // namespace

// Called by the compiler's own code at each branch.
extern "C" __attribute__((visibility("hidden"), no_sanitize_coverage, no_sanitize("address", "undefined")))
void __sanitizer_cov_trace_pc() {
    const auto address = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
    // Fibonacci hashing: neighbouring branches get counters far apart.
    ++counters[static_cast<std::uint64_t>(address) * 0x9E3779B97F4A7C15u >> (64 - COUNTER_BITS)];
}

// GCC also reports comparisons of floating-point numbers; libFuzzer has no use for them.
extern "C" __attribute__((visibility("hidden"))) void __sanitizer_cov_trace_cmpf(float, float) {}
extern "C" __attribute__((visibility("hidden"))) void __sanitizer_cov_trace_cmpd(double, double) {}
