"""Half precision for Numba, which has no such arrays: as bits.

Exact on the way to float32, and rounded once on the way back: to the nearest, of two that are as
near to the even one.
"""

HALVES = """
@intrinsic
def bits(context, number):
    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), build


@intrinsic
def number(context, bits):
    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), build


@njit(cache=False, inline="always", error_model="numpy")
def from_bfloat16(x):
    return number(np.uint32(np.uint32(x) << np.uint32(16)))


@njit(cache=False, inline="always", error_model="numpy")
def to_bfloat16(x):
    b = bits(x)
    high = np.uint32(b >> np.uint32(16))
    even = np.uint32(b + np.uint32(0x7FFF) + (high & np.uint32(1))) >> np.uint32(16)
    return np.uint16(even if x == x else (high & np.uint32(0x8000)) | np.uint32(0x7FC0))


@njit(cache=False, inline="always", error_model="numpy")
def from_float16(x):
    h = np.uint32(x)
    size = np.uint32((h & np.uint32(0x7FFF)) << np.uint32(13))
    b = bits(number(size) * np.float32(2.0**112))
    b = b | np.uint32(0x7F800000) if (h & np.uint32(0x7C00)) == np.uint32(0x7C00) else b
    return number(np.uint32(b | ((h & np.uint32(0x8000)) << np.uint32(16))))


@njit(cache=False, inline="always", error_model="numpy")
def to_float16(x):
    b = bits(x)
    size = np.uint32(b & np.uint32(0x7FFFFFFF))
    rest = np.uint32(size >> np.uint32(13)) & np.uint32(1)
    usual = np.uint32(size - np.uint32(0x38000000) + np.uint32(0xFFF) + rest) >> np.uint32(13)
    # below the normal numbers: the sum with one half has the units that are wanted
    small = np.uint32(bits(number(size) + np.float32(0.5)) - np.uint32(0x3F000000))
    h = small if size < np.uint32(0x38800000) else usual
    h = np.uint32(0x7C00) if size >= np.uint32(0x47800000) else h
    h = h if x == x else np.uint32(0x7E00)
    return np.uint16(h | ((b >> np.uint32(16)) & np.uint32(0x8000)))

"""
