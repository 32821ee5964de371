"""Half precision for CUDA: loaded as float, and rounded once when it is stored.

To the nearest, of two that are as near to the even one.
"""

from __future__ import annotations

HALVES = {
    "float16": """\
struct float16 {
    unsigned short bits;
#ifdef __CUDA_ARCH__
    __device__ operator float() const
    {
        float x;
        asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
        return x;
    }
    __device__ void operator=(float x) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x)); }
    __device__ void operator=(double x) { asm("cvt.rn.f16.f64 %0, %1;" : "=h"(bits) : "d"(x)); }
#else
    operator float() const { return __builtin_bit_cast(_Float16, bits); }
    void operator=(float x) { bits = __builtin_bit_cast(unsigned short, _Float16(x)); }
    void operator=(double x) { bits = __builtin_bit_cast(unsigned short, _Float16(x)); }
#endif
    template <typename T> static __device__ float16 of(T x)
    {
        float16 h;
        h = x;
        return h;
    }
};
""",
    "bfloat16": """\
struct bfloat16 {
    unsigned short bits;
    __device__ operator float() const { return __uint_as_float(unsigned(bits) << 16); }
    __device__ void operator=(float x)
    {
        const unsigned b = __float_as_uint(x);
        bits = x != x ? 0x7fc0 | (b >> 16 & 0x8000) : (b + 0x7fff + (b >> 16 & 1)) >> 16;
    }
    __device__ void operator=(double x)
    {
        // Through float, rounded to zero with what is lost marked in the last bit.
        unsigned b = __float_as_uint(float(x));
        b -= fabs(double(__uint_as_float(b))) > fabs(x);
        *this = __uint_as_float(b | (double(__uint_as_float(b)) != x));
    }
    template <typename T> static __device__ bfloat16 of(T x)
    {
        bfloat16 h;
        h = x;
        return h;
    }
};
""",
}

__all__ = ["HALVES"]
