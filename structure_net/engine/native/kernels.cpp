// Training steps of a sparse network on one thread; compiled once per instruction set.
//
// Samples lie along the rows of every matrix, features down: [features][samples]. A block holds at
// most 256 samples, whose partial sums fit the registers and whose inputs fit a second-level cache.
// Inputs that come as 8-bit values stay so; standardisation is folded into the first layer. Where the
// processor multiplies bytes (VNNI), that layer works on whole numbers: the weights of a unit, and
// its derivatives, are cut into three bytes, 24 bits of fixed point against the largest of them, and
// their sums are exact. Everything behind it is float.
//
// Vectors are those of GCC and Clang, so one source serves every processor.

#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

extern "C" {

struct sn_layer {
    int32_t sources, units;
    // Above 0: over its first so many units, the members, between the products and the biases.
    int32_t normalised;
    // Above 0 it ends a residual block: no biases and no activation, but the output of the layer so
    // many places before it is added to the products.
    int32_t skip;
    const int32_t *row_pointers;     // [units + 1]
    const int32_t *columns;          // [connections + AHEAD] source of each
    const int32_t *source_pointers;  // [sources + 1] the same connections by source
    const int32_t *source_units;     // [connections + AHEAD] unit of each
    const int32_t *source_order;     // [connections] its place in the list by unit
    int64_t weights, biases;         // where they begin in `values`
};

// The connections of a first layer on 8-bit inputs, by unit, each unit's filled up to a multiple of
// four by connections of weight 0; behind the end stand as many as the largest unit has.
struct sn_quads {
    const int32_t *pointers;      // [units + 1] in fours
    const int32_t *columns;       // source of each
    const float *factor, *shift;  // of each one's source: standardised = raw * factor + shift
    int8_t *slices;               // [3][room] the weights of one unit, three bytes each
    int64_t room;
};

struct sn_network {
    int32_t layer_count;
    int32_t activation;  // 0 relu, 1 leaky_relu, 2 gelu, 3 silu, 4 tanh
    int32_t spares;      // matrices for derivatives: 2, with residual blocks 3
    const sn_layer *layers;
    float *values, *gradient, *first_moment, *second_moment;
    const float *multiplier;
    int64_t value_count, connection_count;
    const sn_quads *raw;  // null where inputs are floats
    float *scratch;       // what `places` lays out, aligned to 64 bytes
};

struct sn_block {
    const void *inputs;     // bytes in sample order where `raw` is given, else float
    const int32_t *labels;  // in the order of a group; negative: no sample there
    const int32_t *partners;  // the second class of each sample of a mixed batch; null if not mixed
    int32_t groups;           // of 64 samples, at most 4
    float share;              // of the first class in the loss of a mixed batch
};

struct sn_alterations {      // null: that is not done to any sample
    const uint8_t *flipped;  // [samples] mirrored along the width
    const int32_t *offsets;  // [samples][2] rows, columns of the window below, right of the image
    const int32_t *corners;  // [samples][2] row, column of the cut square's first pixel
    const uint8_t *fill;     // [channels] in a cut square
    int32_t height, width, side;
};

struct sn_update {
    float rate, lowest, highest, decay, first_correction, second_correction;
};
}

namespace {

typedef float floats __attribute__((vector_size(64)));
typedef int32_t ints __attribute__((vector_size(64)));
typedef uint8_t bytes __attribute__((vector_size(16)));
typedef float floats8 __attribute__((vector_size(32)));
typedef float floats4 __attribute__((vector_size(16)));

constexpr int LANES = 16, GROUP = 64;
constexpr float LEAK = 0.01f;

inline floats load(const float *from) {
    floats v;
    memcpy(&v, from, sizeof v);
    return v;
}
inline void store(float *to, floats v) { memcpy(to, &v, sizeof v); }
inline floats all(float x) { return x - floats{}; }

inline float sum(floats v) {
    floats8 a, b;
    memcpy(&a, &v, 32);
    memcpy(&b, (const char *)&v + 32, 32);
    a += b;
    floats4 c, d;
    memcpy(&c, &a, 16);
    memcpy(&d, (const char *)&a + 16, 16);
    c += d;
    return (c[0] + c[2]) + (c[1] + c[3]);
}

// Sums of four vectors, in one.
inline floats4 sums_of(const floats *v) {
#if defined(__AVX512F__)
    const __m512 a = (__m512)v[0], b = (__m512)v[1], c = (__m512)v[2], d = (__m512)v[3];
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512d low = _mm512_unpacklo_pd((__m512d)ab, (__m512d)cd);
    const __m512d high = _mm512_unpackhi_pd((__m512d)ab, (__m512d)cd);
    const __m512 x = _mm512_add_ps((__m512)low, (__m512)high);
    const __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    return (floats4)_mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
#else
    return floats4{sum(v[0]), sum(v[1]), sum(v[2]), sum(v[3])};
#endif
}

// Range reduction and a polynomial of degree 6 (Cephes expf); relative error below 2e-7.
inline floats exponential(floats x) {
    x = x < -87.0f ? all(-87.0f) : x;
    x = x > 88.0f ? all(88.0f) : x;
    const floats magic = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest integer
    const floats n = (x * 1.44269504088896341f + magic) - magic;
    const floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    floats p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * r) * r + r + 1.0f;
    const ints power = (__builtin_convertvector(n, ints) + 127) << 23;
    return p * (floats)power;
}

inline floats sigmoid(floats z) { return 1.0f / (1.0f + exponential(-z)); }

inline floats hyperbolic_tangent(floats z) {
    const floats far = 1.0f - 2.0f / (exponential(2.0f * z) + 1.0f);
    // Near 0 that difference cancels; the series to z^9 is below 1e-8 relative there.
    const floats s = z * z;
    floats near = s * 0.0218694885f - 0.0539682540f;
    near = near * s + 0.133333333f;
    near = near * s - 0.333333333f;
    near = z + z * s * near;
    const floats size = z < 0.0f ? -z : z;
    return size < 0.2f ? near : far;
}

// Normal distribution function by Abramowitz and Stegun 7.1.26; absolute error below 1.5e-7.
inline floats normal_cdf(floats z) {
    const floats x = z * 0.70710678118654752f;
    const floats size = x < 0.0f ? -x : x;
    const floats t = 1.0f / (1.0f + 0.3275911f * size);
    floats p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const floats tail = (p * t) * 0.5f * exponential(-size * size);
    return x < 0.0f ? tail : 1.0f - tail;
}

inline floats activate(int kind, floats z) {
    switch (kind) {
        case 0: return z < 0.0f ? floats{} : z;  // not a number stays not a number
        case 1: return z < 0.0f ? LEAK * z : z;
        case 2: return z * normal_cdf(z);
        case 3: return z * sigmoid(z);
        default: return hyperbolic_tangent(z);
    }
}

// Whether the slope needs the argument z; the others find it from the activation itself, so that z
// need not be kept: what stays in the cache decides the speed.
inline bool keeps_argument(int kind) { return kind == 2 || kind == 3; }

// phi'(z), given z where keeps_argument, else a = phi(z)
inline floats slope(int kind, floats kept) {
    switch (kind) {
        case 0: return kept > 0.0f ? all(1.0f) : floats{};
        case 1: return kept > 0.0f ? all(1.0f) : all(LEAK);
        case 2: return normal_cdf(kept) + kept * 0.39894228040143268f * exponential(-0.5f * kept * kept);
        case 3: {
            const floats s = sigmoid(kept);
            return s * (1.0f + kept * (1.0f - s));
        }
        default: return 1.0f - kept * kept;
    }
}

// What a unit's sum begins with: its bias, which a normalised layer adds later.
inline float start_of(const sn_layer &layer, const sn_network &net, int unit) {
    return layer.normalised ? 0.0f : net.values[layer.biases + unit];
}

// Where one layer's results go. `kept` is the same memory as `activated` unless z must be kept;
// kind < 0 is the output layer, whose z are the logits, one that is normalised first, or one that
// ends a block.
struct results {
    float *kept, *activated;
    int kind;
    const float *entered;  // what the residual block was given that the layer ends
    inline void put(int64_t place, floats z) const {
        if (kind < 0) {
            store(kept + place, z);
            return;
        }
        if (keeps_argument(kind)) store(kept + place, z);
        store(activated + place, activate(kind, z));
    }
};

// Asks for the row that a later connection will read; lists are padded by as many entries. Rows come
// from the second-level cache in no order that the processor could foresee: this took a quarter off.
constexpr int AHEAD = 3;
template <int BYTES>
inline void fetch_ahead(const void *in, const int32_t *sources, int at) {
    const char *row = (const char *)in + (int64_t)sources[at + AHEAD] * BYTES;
#pragma GCC unroll 16
    for (int line = 0; line < BYTES; line += 64) __builtin_prefetch(row + line);
}

template <int G>
void forward(const sn_layer &layer, const sn_network &net, const float *in, results out) {
    for (int unit = 0; unit < layer.units; ++unit) {
        floats sums[4 * G];
        if (out.entered)
            for (int v = 0; v < 4 * G; ++v)
                sums[v] = load(out.entered + (int64_t)unit * G * GROUP + v * LANES);
        else
            for (auto &partial : sums) partial = all(start_of(layer, net, unit));
        for (int at = layer.row_pointers[unit]; at < layer.row_pointers[unit + 1]; ++at) {
            const floats weight = all(net.values[layer.weights + at]);
            const float *row = in + (int64_t)layer.columns[at] * G * GROUP;
            fetch_ahead<G * GROUP * 4>(in, layer.columns, at);
#pragma GCC unroll 16
            for (int v = 0; v < 4 * G; ++v) sums[v] += weight * load(row + v * LANES);
        }
        for (int v = 0; v < 4 * G; ++v)
            out.put((int64_t)unit * G * GROUP + v * LANES, sums[v]);
    }
}

#if defined(__AVX512F__)
inline __mmask16 up_to(int64_t count) {
    return count >= LANES ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1);
}
#endif

// AdamW (Loshchilov & Hutter 2019); see engine/optimizer.py. Compilers make vectors of the plain loop,
// but take the last few values one at a time, which for a unit of some ten connections is most of it.
inline void move(const sn_network &net, const sn_update &u, int64_t begin, int64_t end, float decay) {
    const float first = 1.0f / u.first_correction, second = 1.0f / u.second_correction;
#if defined(__AVX512F__)
    for (int64_t i = begin; i < end; i += LANES) {
        const __mmask16 here = up_to(end - i);
        const auto read = [here, i](const float *from) {
            return (floats)_mm512_maskz_loadu_ps(here, from + i);
        };
        const floats g = read(net.gradient), w = read(net.values), before = read(net.first_moment);
        const floats m = before + (g - before) * 0.1f;
        const floats v = read(net.second_moment) * 0.999f + g * g * 0.001f;
        const floats root = (floats)_mm512_sqrt_ps((__m512)v);
        const floats step = m * first / (root * second + 1e-8f) + decay * w;
        floats rate = read(net.multiplier) * u.rate;
        rate = rate < u.lowest ? all(u.lowest) : rate;
        rate = rate > u.highest ? all(u.highest) : rate;
        _mm512_mask_storeu_ps(net.first_moment + i, here, (__m512)m);
        _mm512_mask_storeu_ps(net.second_moment + i, here, (__m512)v);
        _mm512_mask_storeu_ps(net.values + i, here, (__m512)(w - rate * step));
    }
#else
    float *__restrict w = net.values, *__restrict m = net.first_moment;
    float *__restrict v = net.second_moment;
    const float *__restrict g = net.gradient, *__restrict k = net.multiplier;
    for (int64_t i = begin; i < end; ++i) {
        m[i] += (g[i] - m[i]) * 0.1f;
        v[i] = v[i] * 0.999f + g[i] * g[i] * 0.001f;
        const float step = m[i] * first / (std::sqrt(v[i]) * second + 1e-8f) + decay * w[i];
        float rate = k[i] * u.rate;
        rate = rate < u.lowest ? u.lowest : rate;
        rate = rate > u.highest ? u.highest : rate;
        w[i] -= rate * step;
    }
#endif
}

// One unit's connections, as soon as their gradients stand: those are still in the first-level cache,
// and what the update needs was asked for before the gradients were computed. Where a batch has
// several blocks, all but the last come without `update`.
struct mover {
    const sn_network &net;
    const sn_update *update;
    int64_t begin, end;
    mover(const sn_network &n, const sn_layer &layer, int unit, const sn_update *u)
        : net(n), update(u), begin(layer.weights + layer.row_pointers[unit]),
          end(layer.weights + layer.row_pointers[unit + 1]) {
        if (!update) return;
        for (int64_t at = begin; at < end; at += LANES) {
            __builtin_prefetch(net.first_moment + at, 1);
            __builtin_prefetch(net.second_moment + at, 1);
            __builtin_prefetch(net.multiplier + at);
        }
    }
    ~mover() {
        if (update) move(net, *update, begin, end, update->decay);
    }
};

// One unit's derivatives in registers; returns their sum, which is the bias's gradient.
template <int G>
inline float take(const float *dz, floats *d) {
    floats total = floats{};
    for (int v = 0; v < 4 * G; ++v) {
        d[v] = load(dz + v * LANES);
        total += d[v];
    }
    return sum(total);
}

// A normalised layer's biases have theirs already: behind the norm dz is that of the products. One
// that ends a block has none.
inline void add_bias_gradient(const sn_layer &layer, const sn_network &net, int unit, float sum) {
    if (!layer.normalised && !layer.skip) net.gradient[layer.biases + unit] += sum;
}

// gradient[connection] += sum over samples of dz[unit] * input[source]
template <int G>
void gradient(const sn_layer &layer, const sn_network &net, const float *in, const float *dz,
              const sn_update *update) {
    for (int unit = 0; unit < layer.units; ++unit) {
        const mover after(net, layer, unit, update);
        floats d[4 * G];
        add_bias_gradient(layer, net, unit, take<G>(dz + (int64_t)unit * G * GROUP, d));
        const int end = layer.row_pointers[unit + 1];
        int at = layer.row_pointers[unit];
        for (; at + 4 <= end; at += 4) {
            floats dots[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) {
                const float *row = in + (int64_t)layer.columns[at + i] * G * GROUP;
                fetch_ahead<G * GROUP * 4>(in, layer.columns, at + i);
                dots[i] = d[0] * load(row);
#pragma GCC unroll 16
                for (int v = 1; v < 4 * G; ++v) dots[i] += d[v] * load(row + v * LANES);
            }
            const floats4 sums = sums_of(dots);
            for (int i = 0; i < 4; ++i) net.gradient[layer.weights + at + i] += sums[i];
        }
        for (; at < end; ++at) {
            const float *row = in + (int64_t)layer.columns[at] * G * GROUP;
            floats dot = d[0] * load(row);
#pragma GCC unroll 16
            for (int v = 1; v < 4 * G; ++v) dot += d[v] * load(row + v * LANES);
            net.gradient[layer.weights + at] += sum(dot);
        }
    }
}

// Fixed point: a value is largest / FIXED * (b0 * 65536 + b1 * 256 + b2), each b a signed byte. FIXED
// leaves room for rounding below 127 * 65536 + 127 * 256 + 127.
constexpr float FIXED = 8355000.0f;
// Below this the largest counts as this: its inverse must stay finite.
constexpr float SMALLEST = 1e-30f;
// Fours whose sums of bytes surely fit 32 bits: 4 * 255 * 128 * 16,000 < 2^31.
constexpr int SEGMENT = 16000;

#if defined(__AVX512VNNI__)

// Sample of each float of a group: what interleaving bytes of four rows, within 16 bytes, makes.
inline int sample_at(int place) { return place % 16 / 4 * 16 + place / 16 * 4 + place % 4; }

// sums[lane] += four unsigned bytes of x times four signed bytes of w. By hand, since compilers copy
// the sums before and after.
inline void multiply_bytes(__m512i &sums, __m512i x, __m512i w) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(x), "v"(w));
}

inline void three_bytes(__m512i q, __m512i *b) {
    b[2] = _mm512_srai_epi32(_mm512_slli_epi32(q, 24), 24);
    const __m512i rest = _mm512_srai_epi32(_mm512_sub_epi32(q, b[2]), 8);
    b[1] = _mm512_srai_epi32(_mm512_slli_epi32(rest, 24), 24);
    b[0] = _mm512_srai_epi32(_mm512_sub_epi32(rest, b[1]), 8);
}

inline __m512 joined(__m512i b0, __m512i b1, __m512i b2) {
    const __m512 low = _mm512_fmadd_ps(_mm512_cvtepi32_ps(b1), _mm512_set1_ps(256.0f),
                                       _mm512_cvtepi32_ps(b2));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(b0), _mm512_set1_ps(65536.0f), low);
}

inline float largest_of(__m512 sizes) {
    const float found = _mm512_reduce_max_ps(sizes);
    return found > SMALLEST ? found : SMALLEST;
}

// The weights of one unit times their factors as bytes; returns what a whole number stands for and
// adds weight * shift to `constant`. A weight that is not finite shows in the constant.
inline float slice_weights(const sn_quads &raw, const float *weights, int64_t first, int count,
                           float &constant) {
    __m512 sizes = _mm512_setzero_ps(), shifts = _mm512_setzero_ps();
    for (int i = 0; i < count; i += LANES) {
        const __mmask16 here = up_to(count - i);
        const __m512 w = _mm512_maskz_loadu_ps(here, weights + i);
        const __m512 t = _mm512_mul_ps(w, _mm512_maskz_loadu_ps(here, raw.factor + first + i));
        sizes = _mm512_max_ps(sizes, _mm512_abs_ps(t));
        shifts = _mm512_fmadd_ps(w, _mm512_maskz_loadu_ps(here, raw.shift + first + i), shifts);
    }
    constant += _mm512_reduce_add_ps(shifts);
    const float largest = largest_of(sizes);
    const __m512 scale = _mm512_set1_ps(FIXED / largest);
    for (int i = 0; i < count; i += LANES) {
        const __mmask16 here = up_to(count - i);
        const __m512 w = _mm512_maskz_loadu_ps(here, weights + i);
        const __m512 t = _mm512_mul_ps(w, _mm512_maskz_loadu_ps(here, raw.factor + first + i));
        __m512i b[3];
        three_bytes(_mm512_cvtps_epi32(_mm512_mul_ps(t, scale)), b);
        for (int k = 0; k < 3; ++k)
            _mm_storeu_si128((__m128i *)(raw.slices + k * raw.room + i),
                             _mm512_cvtepi32_epi8(b[k]));
    }
    return largest / FIXED;
}

inline __m512i four_bytes(const int8_t *from) {
    int32_t four;
    memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
}

// Sums of weight * raw value over fours of connections, for 64 samples beginning at `in`.
template <int64_t WIDTH>
inline void sum_of_bytes(const sn_quads &raw, const int32_t *columns, int begin, int end,
                         const uint8_t *in, __m512 *sums) {
    __m512i totals[3][4];
    for (auto &slice : totals)
        for (auto &total : slice) total = _mm512_setzero_si512();
    for (int q = begin; q < end; ++q) {
        const int32_t *at = columns + 4 * (int64_t)q;
        const __m512i x0 = _mm512_loadu_si512(in + at[0] * WIDTH);
        const __m512i x1 = _mm512_loadu_si512(in + at[1] * WIDTH);
        const __m512i x2 = _mm512_loadu_si512(in + at[2] * WIDTH);
        const __m512i x3 = _mm512_loadu_si512(in + at[3] * WIDTH);
        const __m512i low01 = _mm512_unpacklo_epi8(x0, x1), high01 = _mm512_unpackhi_epi8(x0, x1);
        const __m512i low23 = _mm512_unpacklo_epi8(x2, x3), high23 = _mm512_unpackhi_epi8(x2, x3);
        const __m512i x[4] = {
            _mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
            _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
#pragma GCC unroll 3
        for (int k = 0; k < 3; ++k) {
            const __m512i w = four_bytes(raw.slices + k * raw.room + 4 * (int64_t)q);
#pragma GCC unroll 4
            for (int v = 0; v < 4; ++v) multiply_bytes(totals[k][v], x[v], w);
        }
    }
    for (int v = 0; v < 4; ++v)
        sums[v] = _mm512_add_ps(sums[v], joined(totals[0][v], totals[1][v], totals[2][v]));
}

// z[unit] = bias + sum over its connections of weight * (raw * factor + shift)
template <int G>
void forward_raw(const sn_layer &layer, const sn_network &net, const uint8_t *in, results out) {
    const sn_quads &raw = *net.raw;
    for (int unit = 0; unit < layer.units; ++unit) {
        const int begin = layer.row_pointers[unit], count = layer.row_pointers[unit + 1] - begin;
        const int fours = raw.pointers[unit + 1] - raw.pointers[unit];
        const int64_t first = 4 * (int64_t)raw.pointers[unit];
        float constant = start_of(layer, net, unit);
        const floats scale = all(
            slice_weights(raw, net.values + layer.weights + begin, first, count, constant));
        for (int g = 0; g < G; ++g) {
            __m512 sums[4];
            for (auto &one : sums) one = _mm512_setzero_ps();
            for (int q = 0; q < fours; q += SEGMENT)
                sum_of_bytes<G * GROUP>(raw, raw.columns + first, q,
                                        fours < q + SEGMENT ? fours : q + SEGMENT,
                                        in + g * GROUP, sums);
            for (int v = 0; v < 4; ++v)
                out.put((int64_t)unit * G * GROUP + g * GROUP + v * LANES,
                        (floats)sums[v] * scale + constant);
        }
    }
}

// One unit's derivatives as bytes in sample order; returns what a whole number stands for.
template <int G>
inline float slice_derivatives(const float *dz, float &whole, __m512i (*bytes)[G]) {
    __m512 sizes = _mm512_setzero_ps(), total = _mm512_setzero_ps();
    for (int v = 0; v < 4 * G; ++v) {
        const __m512 d = _mm512_load_ps(dz + v * LANES);
        sizes = _mm512_max_ps(sizes, _mm512_abs_ps(d));
        total = _mm512_add_ps(total, d);
    }
    whole = _mm512_reduce_add_ps(total);
    const float largest = largest_of(sizes);
    const __m512 scale = _mm512_set1_ps(FIXED / largest);
    for (int g = 0; g < G; ++g) {
        __m512i b[4][3];
        for (int v = 0; v < 4; ++v) {
            const __m512 d = _mm512_load_ps(dz + g * GROUP + v * LANES);
            three_bytes(_mm512_cvtps_epi32(_mm512_mul_ps(d, scale)), b[v]);
        }
        for (int k = 0; k < 3; ++k)
            bytes[k][g] = _mm512_packs_epi16(_mm512_packs_epi32(b[0][k], b[1][k]),
                                             _mm512_packs_epi32(b[2][k], b[3][k]));
    }
    return largest / FIXED;
}

template <int G>
void gradient_raw(const sn_layer &layer, const sn_network &net, const uint8_t *in, const float *dz,
                  const sn_update *update) {
    const sn_quads &raw = *net.raw;
    for (int unit = 0; unit < layer.units; ++unit) {
        const mover after(net, layer, unit, update);
        float whole;
        __m512i d[3][G];
        float scale = slice_derivatives<G>(dz + (int64_t)unit * G * GROUP, whole, d);
        scale += whole - whole;  // a derivative that is not finite must show
        add_bias_gradient(layer, net, unit, whole);
        const int begin = layer.row_pointers[unit], count = layer.row_pointers[unit + 1] - begin;
        const int64_t first = 4 * (int64_t)raw.pointers[unit];
        float *gradient = net.gradient + layer.weights + begin;
        for (int at = 0; at < count; at += 4) {
            const int32_t *columns = raw.columns + first + at;
            floats dots[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) {
                const uint8_t *row = in + (int64_t)columns[i] * G * GROUP;
                const uint8_t *later = in + (int64_t)columns[4 + i] * G * GROUP;
                __m512i sums[3];
                for (auto &one : sums) one = _mm512_setzero_si512();
#pragma GCC unroll 4
                for (int g = 0; g < G; ++g) {
                    __builtin_prefetch(later + g * GROUP);
                    const __m512i x = _mm512_loadu_si512(row + g * GROUP);
                    for (int k = 0; k < 3; ++k) multiply_bytes(sums[k], x, d[k][g]);
                }
                dots[i] = (floats)joined(sums[0], sums[1], sums[2]);
            }
            floats4 factor, shift, sums = sums_of(dots);
            memcpy(&factor, raw.factor + first + at, sizeof factor);
            memcpy(&shift, raw.shift + first + at, sizeof shift);
            sums = sums * scale * factor + shift * whole;
            for (int i = 0; i < 4 && at + i < count; ++i) gradient[at + i] += sums[i];
        }
    }
}

#else

inline int sample_at(int place) { return place; }

// Sixteen bytes as floats. Compilers make scalars of a conversion written in vectors.
inline floats from_bytes(const uint8_t *from) {
#if defined(__AVX512F__)
    return (floats)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from)));
#elif defined(__AVX2__)
    const __m256 low =
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from)));
    const __m256 high =
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(from + 8))));
    floats v;
    memcpy(&v, &low, sizeof low);
    memcpy((char *)&v + sizeof low, &high, sizeof high);
    return v;
#else
    float exact[LANES];
    for (int i = 0; i < LANES; ++i) exact[i] = (float)(int32_t)from[i];
    return load(exact);
#endif
}

// z[unit] = bias + sum over its connections of weight * (raw * factor + shift)
template <int G>
void forward_raw(const sn_layer &layer, const sn_network &net, const uint8_t *in, results out) {
    const sn_quads &raw = *net.raw;
    for (int unit = 0; unit < layer.units; ++unit) {
        floats sums[4 * G];
        for (auto &partial : sums) partial = floats{};
        float constant = start_of(layer, net, unit);
        const int begin = layer.row_pointers[unit], count = layer.row_pointers[unit + 1] - begin;
        const int64_t first = 4 * (int64_t)raw.pointers[unit];
        for (int at = 0; at < count; ++at) {
            const float weight = net.values[layer.weights + begin + at];
            constant += weight * raw.shift[first + at];
            const floats scaled = all(weight * raw.factor[first + at]);
            const uint8_t *row = in + (int64_t)raw.columns[first + at] * G * GROUP;
            fetch_ahead<G * GROUP>(in, raw.columns + first, at);
#pragma GCC unroll 16
            for (int v = 0; v < 4 * G; ++v) sums[v] += scaled * from_bytes(row + v * LANES);
        }
        for (int v = 0; v < 4 * G; ++v)
            out.put((int64_t)unit * G * GROUP + v * LANES, sums[v] + constant);
    }
}

template <int G>
void gradient_raw(const sn_layer &layer, const sn_network &net, const uint8_t *in, const float *dz,
                  const sn_update *update) {
    const sn_quads &raw = *net.raw;
    for (int unit = 0; unit < layer.units; ++unit) {
        const mover after(net, layer, unit, update);
        floats d[4 * G];
        const float whole = take<G>(dz + (int64_t)unit * G * GROUP, d);
        add_bias_gradient(layer, net, unit, whole);
        const int begin = layer.row_pointers[unit], count = layer.row_pointers[unit + 1] - begin;
        const int64_t first = 4 * (int64_t)raw.pointers[unit];
        for (int at = 0; at < count; ++at) {
            const uint8_t *row = in + (int64_t)raw.columns[first + at] * G * GROUP;
            fetch_ahead<G * GROUP>(in, raw.columns + first, at);
            floats a = floats{}, b = floats{};
#pragma GCC unroll 16
            for (int v = 0; v < 4 * G; v += 2) {
                a += d[v] * from_bytes(row + v * LANES);
                b += d[v + 1] * from_bytes(row + (v + 1) * LANES);
            }
            net.gradient[layer.weights + begin + at] +=
                raw.factor[first + at] * sum(a + b) + raw.shift[first + at] * whole;
        }
    }
}

#endif

// dz of the layer before = (sum over consumers of weight * dz[unit]) * slope; without the slope where
// `through`: the layer before is normalised and takes it into account itself, or has no activation.
// `around` is what came back by the skip, where the layer begins a residual block.
template <int G>
void backward(const sn_layer &layer, const sn_network &net, const float *dz, const float *kept,
              float *dz_before, bool through, const float *around) {
    for (int source = 0; source < layer.sources; ++source) {
        floats sums[4 * G];
        if (around)
            for (int v = 0; v < 4 * G; ++v)
                sums[v] = load(around + (int64_t)source * G * GROUP + v * LANES);
        else
            for (auto &partial : sums) partial = floats{};
        const int end = layer.source_pointers[source + 1];
        for (int at = layer.source_pointers[source]; at < end; ++at) {
            const floats weight = all(net.values[layer.weights + layer.source_order[at]]);
            const float *row = dz + (int64_t)layer.source_units[at] * G * GROUP;
            fetch_ahead<G * GROUP * 4>(dz, layer.source_units, at);
#pragma GCC unroll 16
            for (int v = 0; v < 4 * G; ++v) sums[v] += weight * load(row + v * LANES);
        }
        const int64_t place = (int64_t)source * G * GROUP;
        for (int v = 0; v < 4 * G; ++v) {
            const floats before = load(kept + place + v * LANES);
            const floats rate = through ? all(1.0f) : slope(net.activation, before);
            store(dz_before + place + v * LANES, sums[v] * rate);
        }
    }
}

// Root mean square normalisation over the members of a layer (Zhang & Sennrich 2019), without gains:
// z = u * q + bias with q = 1 / sqrt(mean of u^2 + 1e-6), for each sample. The products u become
// r = u * q in place.
template <int G>
void normalise(const sn_layer &layer, const sn_network &net, float *r, float *activated, float *q) {
    floats squares[4 * G];
    for (auto &one : squares) one = floats{};
    for (int unit = 0; unit < layer.normalised; ++unit)
#pragma GCC unroll 16
        for (int v = 0; v < 4 * G; ++v) {
            const floats u = load(r + (int64_t)unit * G * GROUP + v * LANES);
            squares[v] += u * u;
        }
    for (int v = 0; v < 4 * G; ++v) {
        const floats mean = squares[v] / (float)layer.normalised + 1e-6f;
        for (int lane = 0; lane < LANES; ++lane) q[v * LANES + lane] = 1.0f / std::sqrt(mean[lane]);
    }
    for (int unit = 0; unit < layer.units; ++unit) {
        const float bias = net.values[layer.biases + unit];
        for (int v = 0; v < 4 * G; ++v) {
            const int64_t place = (int64_t)unit * G * GROUP + v * LANES;
            const floats normal = load(r + place) * load(q + v * LANES);
            store(r + place, normal);
            store(activated + place, activate(net.activation, normal + bias));
        }
    }
}

// From the derivatives by the activations, in `d`, to those by the products u, in place, by way of dz:
// du = q * (dz - r * sum of dz * r / members), and q * dz for a unit that is none, which does not move
// q. Adds the gradients of the biases.
template <int G>
void denormalise(const sn_layer &layer, const sn_network &net, const float *r,
                 const float *activated, const float *q, float *d) {
    const bool by_argument = keeps_argument(net.activation);
    floats along[4 * G];
    for (auto &one : along) one = floats{};
    for (int unit = 0; unit < layer.units; ++unit) {
        const float bias = net.values[layer.biases + unit];
        floats total = floats{};
#pragma GCC unroll 16
        for (int v = 0; v < 4 * G; ++v) {
            const int64_t place = (int64_t)unit * G * GROUP + v * LANES;
            const floats normal = load(r + place);
            const floats kept = by_argument ? normal + bias : load(activated + place);
            const floats dz = load(d + place) * slope(net.activation, kept);
            store(d + place, dz);
            along[v] += dz * normal;
            total += dz;
        }
        net.gradient[layer.biases + unit] += sum(total);
    }
    for (auto &one : along) one /= (float)layer.normalised;
    for (int unit = 0; unit < layer.units; ++unit) {
        if (unit == layer.normalised)
            for (auto &one : along) one = floats{};
        for (int v = 0; v < 4 * G; ++v) {
            const int64_t place = (int64_t)unit * G * GROUP + v * LANES;
            const floats du = load(d + place) - load(r + place) * along[v];
            store(d + place, du * load(q + v * LANES));
        }
    }
}

// Where a forward pass leaves its results in the scratch memory.
struct places {
    const sn_network &net;
    int64_t width;
    int last() const { return net.layer_count - 1; }
    bool two(int layer) const {
        if (net.layers[layer].skip) return false;
        return keeps_argument(net.activation) || net.layers[layer].normalised;
    }
    float *kept(int layer) const {
        float *at = net.scratch;
        for (int l = 0; l < layer; ++l) at += (two(l) ? 2 : 1) * width * net.layers[l].units;
        return at;
    }
    float *activated(int layer) const {
        return kept(layer) + (two(layer) ? width * net.layers[layer].units : 0);
    }
    float *logits() const { return kept(last()); }
    float *spare(int which) const {
        int64_t widest = 0;
        for (int l = 0; l < last(); ++l)
            if (net.layers[l].units > widest) widest = net.layers[l].units;
        return logits() + width * (net.layers[last()].units + which * widest);
    }
    float *scales(int layer) const { return spare(net.spares) + width * layer; }
    results of(int layer) const {
        const int skip = net.layers[layer].skip;
        if (skip) return {kept(layer), nullptr, -1, activated(layer - skip)};
        if (layer == last() || net.layers[layer].normalised) return {kept(layer), nullptr, -1, nullptr};
        return {kept(layer), activated(layer), net.activation, nullptr};
    }
};

template <int G>
void forward_all(const sn_network &net, const sn_block &block) {
    const places at{net, G * GROUP};
    for (int l = 0; l < net.layer_count; ++l) {
        const sn_layer &layer = net.layers[l];
        if (l > 0) forward<G>(layer, net, at.activated(l - 1), at.of(l));
        else if (net.raw) forward_raw<G>(layer, net, (const uint8_t *)block.inputs, at.of(l));
        else forward<G>(layer, net, (const float *)block.inputs, at.of(l));
        if (layer.normalised) normalise<G>(layer, net, at.kept(l), at.activated(l), at.scales(l));
    }
}

// Softmax cross-entropy, summed over the block's samples; logits become the derivative of the loss
// by them, times `scale`. `correct` counts samples whose largest logit is the first such and theirs.
// A sample of a mixed batch counts with `share` for its own class and the rest for its partner's.
double loss_of(float *logits, int classes, const sn_block &block, float scale, int64_t *correct) {
    const int64_t width = (int64_t)block.groups * GROUP;
    const float share = block.partners ? block.share : 1.0f, rest = 1.0f - share;
    double total = 0.0;
    for (int64_t v = 0; v < width; v += LANES) {
        floats top = load(logits + v);
        ints best = ints{};
        for (int c = 1; c < classes; ++c) {
            const floats z = load(logits + c * width + v);
            best = z > top ? c - ints{} : best;
            top = z > top ? z : top;
        }
        floats whole = floats{};
        for (int c = 0; c < classes; ++c)
            whole += exponential(load(logits + c * width + v) - top);
        ints label;
        memcpy(&label, block.labels + v, sizeof label);
        ints partner = label;
        if (block.partners) memcpy(&partner, block.partners + v, sizeof partner);
        for (int lane = 0; lane < LANES; ++lane) {
            if (label[lane] < 0) continue;
            const float own = logits[label[lane] * width + v + lane];
            const float theirs = logits[partner[lane] * width + v + lane];
            total += (double)std::log(whole[lane]) +
                     ((double)top[lane] - (share * own + rest * theirs));
            *correct += best[lane] == label[lane];
        }
        for (int c = 0; c < classes; ++c) {
            float *place = logits + c * width + v;
            floats p = exponential(load(place) - top) / whole;
            p = label == c ? p - share : p;
            p = partner == c ? p - rest : p;
            store(place, label < 0 ? floats{} : p * scale);
        }
    }
    return total;
}

template <int G>
double train_block(const sn_network &net, const sn_block &block, float scale,
                   const sn_update *update) {
    forward_all<G>(net, block);
    const places at{net, G * GROUP};
    const int last = at.last();
    int64_t correct = 0;
    const double loss = loss_of(at.logits(), net.layers[last].units, block, scale, &correct);
    const float *dz = at.logits();
    int own = -1, held = -1, opens = -1;  // the spare of dz, that of a block's sum; its first layer
    for (int l = last; l > 0; --l) {
        if (net.layers[l].skip) {
            held = own;
            opens = l - net.layers[l].skip + 1;
        }
        int next = 0;
        while (next == own || next == held) ++next;
        float *dz_before = at.spare(next);
        const float *around = l == opens ? at.spare(held) : nullptr;
        const bool normalised = net.layers[l - 1].normalised;
        const bool through = normalised || net.layers[l - 1].skip;
        backward<G>(net.layers[l], net, dz, at.kept(l - 1), dz_before, through, around);
        if (normalised)
            denormalise<G>(net.layers[l - 1], net, at.kept(l - 1), at.activated(l - 1),
                           at.scales(l - 1), dz_before);
        gradient<G>(net.layers[l], net, at.activated(l - 1), dz, update);
        dz = dz_before;
        own = next;
        if (around) held = opens = -1;
    }
    if (net.raw) gradient_raw<G>(net.layers[0], net, (const uint8_t *)block.inputs, dz, update);
    else gradient<G>(net.layers[0], net, (const float *)block.inputs, dz, update);
    return loss;
}

// Sixteen rows of sixteen bytes, rows and columns exchanged: four rounds of interleaving row i with
// row i + 8.
inline void transpose(bytes *rows) {
#pragma GCC unroll 4
    for (int round = 0; round < 4; ++round) {
        bytes next[16];
#pragma GCC unroll 16
        for (int i = 0; i < 8; ++i) {
            next[2 * i] = __builtin_shufflevector(rows[i], rows[i + 8], 0, 16, 1, 17, 2, 18, 3, 19,
                                                  4, 20, 5, 21, 6, 22, 7, 23);
            next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 8], 8, 24, 9, 25, 10, 26, 11,
                                                      27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) rows[i] = next[i];
    }
}

// One image, mirrored and seen through its window; what lies outside the image is 0.
void move_image(const uint8_t *from, int64_t features, const sn_alterations &altered, int sample,
                uint8_t *to) {
    const bool flip = altered.flipped && altered.flipped[sample];
    const int32_t *offset = altered.offsets ? altered.offsets + 2 * sample : nullptr;
    if (!flip && !offset) {
        memcpy(to, from, features);
        return;
    }
    const int height = altered.height, width = altered.width;
    const int down = offset ? offset[0] : 0, right = offset ? offset[1] : 0;
    const int first = right < 0 ? -right : 0, end = right > 0 ? width - right : width;
    for (int64_t plane = 0; plane < features; plane += (int64_t)height * width) {
        for (int y = 0; y < height; ++y) {
            uint8_t *line = to + plane + (int64_t)y * width;
            if (y + down < 0 || y + down >= height) {
                memset(line, 0, width);
                continue;
            }
            const uint8_t *source = from + plane + (int64_t)(y + down) * width;
            for (int x = 0; x < first; ++x) line[x] = 0;
            if (flip)
                for (int x = first; x < end; ++x) line[x] = source[width - 1 - (x + right)];
            else
                memcpy(line + first, source + first + right, end - first);
            for (int x = end; x < width; ++x) line[x] = 0;
        }
    }
}

// The part of the cut square that lies in the image becomes each channel's fill.
void cut_square(int64_t features, const sn_alterations &altered, int sample, uint8_t *to) {
    const int height = altered.height, width = altered.width;
    const int top = altered.corners[2 * sample], left = altered.corners[2 * sample + 1];
    const int bottom = top + altered.side < height ? top + altered.side : height;
    const int right = left + altered.side < width ? left + altered.side : width;
    const int first = left < 0 ? 0 : left;
    const int64_t plane = (int64_t)height * width;
    for (int64_t channel = 0; channel * plane < features; ++channel)
        for (int y = top < 0 ? 0 : top; y < bottom; ++y)
            memset(to + channel * plane + (int64_t)y * width + first, altered.fill[channel],
                   right - first);
}

}  // namespace

#define SN_BY_WIDTH(groups, call) \
    switch (groups) {             \
        case 1: return call(1);   \
        case 2: return call(2);   \
        case 3: return call(3);   \
        default: return call(4);  \
    }

static double train_any(const sn_network &net, const sn_block &block, float scale,
                        const sn_update *update) {
#define SN_CALL(G) train_block<G>(net, block, scale, update)
    SN_BY_WIDTH(block.groups, SN_CALL)
#undef SN_CALL
}

static void forward_any(const sn_network &net, const sn_block &block) {
#define SN_CALL(G) forward_all<G>(net, block)
    SN_BY_WIDTH(block.groups, SN_CALL)
#undef SN_CALL
}

template <int G>
static void first_block(const sn_network &net, const sn_layer &layer, const sn_block &block) {
    const results out{net.scratch, nullptr, -1, nullptr};
    if (net.raw) forward_raw<G>(layer, net, (const uint8_t *)block.inputs, out);
    else forward<G>(layer, net, (const float *)block.inputs, out);
}

static void first_any(const sn_network &net, const sn_layer &layer, const sn_block &block) {
#define SN_CALL(G) first_block<G>(net, layer, block)
    SN_BY_WIDTH(block.groups, SN_CALL)
#undef SN_CALL
}

extern "C" {

// One optimizer step over the samples of all blocks; returns the mean loss in nats.
double sn_step(const sn_network *net, const sn_block *blocks, int32_t block_count, int64_t samples,
               const sn_update *update) {
    memset(net->gradient, 0, net->value_count * sizeof(float));
    double loss = 0.0;
    for (int b = 0; b < block_count; ++b)
        loss += train_any(*net, blocks[b], 1.0f / samples, b + 1 < block_count ? nullptr : update);
    move(*net, *update, net->connection_count, net->value_count, 0.0f);  // biases do not decay
    return loss / samples;
}

// Sum of losses over the blocks; `correct` is increased.
double sn_evaluate(const sn_network *net, const sn_block *blocks, int32_t block_count,
                   int64_t *correct) {
    double loss = 0.0;
    for (int b = 0; b < block_count; ++b) {
        forward_any(*net, blocks[b]);
        const places at{*net, (int64_t)blocks[b].groups * GROUP};
        const int classes = net->layers[net->layer_count - 1].units;
        loss += loss_of(at.logits(), classes, blocks[b], 0.0f, correct);
    }
    return loss;
}

// The products of the first layer with the samples of all blocks, without bias, samples in order:
// [units][samples].
void sn_first(const sn_network *net, const sn_block *blocks, int32_t block_count, int64_t samples,
              float *products) {
    sn_layer layer = net->layers[0];
    layer.normalised = 1;  // whose biases are added later
    int64_t first = 0;
    for (int b = 0; b < block_count; ++b) {
        first_any(*net, layer, blocks[b]);
        const int64_t width = (int64_t)blocks[b].groups * GROUP;
        for (int64_t unit = 0; unit < layer.units; ++unit) {
            const float *from = net->scratch + unit * width;
            float *to = products + unit * samples + first;
            for (int64_t g = 0; g < width; g += GROUP)
                for (int place = 0; place < GROUP; ++place) {
                    const int64_t at = g + sample_at(place);
                    if (first + at < samples) to[at] = from[g + place];
                }
        }
        first += width;
    }
}

// Sample of each place of a group, in all float matrices and in the labels.
void sn_order(int32_t *order) {
    for (int place = 0; place < GROUP; ++place) order[place] = sample_at(place);
}

// Rows of 8-bit images as one block: [features][groups * 64], missing samples zero. `spare`
// holds 64 rows of features + 16 bytes: the rows of a group are gathered and altered first, then
// exchanged in tiles that stay in the cache.
void sn_pack(const uint8_t *images, int64_t features, const int64_t *rows, int32_t samples,
             const sn_alterations *altered, int32_t groups, uint8_t *spare, uint8_t *block) {
    const int64_t width = (int64_t)groups * GROUP, pitch = features + LANES;
    for (int64_t first = 0; first < width; first += GROUP) {
        for (int64_t sample = first; sample < first + GROUP; ++sample) {
            uint8_t *to = spare + (sample - first) * pitch;
            memset(to + features, 0, LANES);
            if (sample >= samples) {
                memset(to, 0, features);
                continue;
            }
            const uint8_t *from = images + rows[sample] * features;
            move_image(from, features, *altered, sample, to);
            if (altered->corners) cut_square(features, *altered, sample, to);
        }
        for (int64_t feature = 0; feature < features; feature += LANES) {
            const int64_t here = features - feature < LANES ? features - feature : LANES;
            bytes tiles[GROUP];
            for (int lane = 0; lane < GROUP; ++lane)
                memcpy(&tiles[lane], spare + lane * pitch + feature, LANES);
            for (int tile = 0; tile < GROUP; tile += LANES) transpose(tiles + tile);
            for (int64_t i = 0; i < here; ++i)
                for (int tile = 0; tile < GROUP; tile += LANES)
                    memcpy(block + (feature + i) * width + first + tile, &tiles[tile + i], LANES);
        }
    }
}
}
