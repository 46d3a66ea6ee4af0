/* Preloaded into a program, this moves its wall clock by the seconds that the
 * file named by STEPPED_CLOCK holds (a whole number, as a double), at any moment. Monotonic
 * clocks are left alone, as they are when a computer's clock is set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int (*clock_function)(clockid_t, struct timespec *);

static clock_function real_clock_gettime;
static const volatile double *step;

__attribute__((constructor)) static void prepare(void)
{
    const char *path = getenv("STEPPED_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    real_clock_gettime = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
    if (file >= 0) {
        void *memory = mmap(NULL, sizeof(double), PROT_READ, MAP_SHARED, file, 0);
        step = memory == MAP_FAILED ? NULL : memory;
        close(file);
    }
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result;
    if (!real_clock_gettime)
        prepare();
    result = real_clock_gettime(clock, now);
    if (step && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI))
        now->tv_sec += (time_t)*step;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    (void)zone;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}

time_t time(time_t *result)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
