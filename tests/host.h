// Runs a generated CUDA kernel on the host: its blocks and threads one after the other.
#include <math.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __grid_constant__

struct Index {
    unsigned x;
};
static thread_local Index blockIdx, threadIdx;

static inline unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
static inline float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }

// Between two barriers all threads of a block do the same, one after the other; what outlives that
// is shared by them.
#define __shared__ static
#define each_thread(body) for (unsigned thread = 0; thread < 256; thread++) { body }

#include KERNEL

static void run_block(void (*kernel)(const Arguments), unsigned threads, void **arguments)
{
    for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++)
        kernel(*static_cast<const Arguments *>(arguments[0]));
}

static void run_block(void (*kernel)(const Arguments, double *), unsigned, void **arguments)
{
    kernel(*static_cast<const Arguments *>(arguments[0]), *static_cast<double **>(arguments[1]));
}

extern "C" unsigned long long size_of_arguments() { return sizeof(Arguments); }

// What a driver does with a kernel and the addresses of its arguments.
extern "C" void launch_on_host(unsigned blocks, unsigned threads, void **arguments)
{
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        run_block(optimkit, threads, arguments);
}
