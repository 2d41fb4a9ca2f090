// Training steps of a sparse network on one thread; compiled once per instruction set.
//
// Samples lie along the rows of every matrix, features down: [features][samples]. Inputs that come
// as 8-bit values are held as bfloat16, which is exact for them, in sample order; standardisation
// is folded into the first layer. Everything behind it is float, the 32 samples of a group in the
// order 0, 2, ..., 30, 1, 3, ..., 31: one 512-bit word of bfloat16 pairs splits into its even and
// its odd samples by a shift and a mask. A block holds at most 256 samples: sixteen vectors of
// partial sums, which fit the registers, and 3,072 inputs of them fit a second-level cache.
//
// Vectors are those of GCC and Clang, so one source serves every processor.

#include <cmath>
#include <cstdint>
#include <cstring>

extern "C" {

struct sn_layer {
    int32_t sources, units;
    const int32_t *row_pointers;     // [units + 1]
    const int32_t *columns;          // [connections + AHEAD] source of each
    const int32_t *source_pointers;  // [sources + 1] the same connections by source
    const int32_t *source_units;     // [connections + AHEAD] unit of each
    const int32_t *source_order;     // [connections] its place in the list by unit
    int64_t weights, biases;         // where they begin in `values`
};

struct sn_network {
    int32_t layer_count;
    int32_t activation;  // 0 relu, 1 leaky_relu, 2 gelu, 3 silu, 4 tanh
    const sn_layer *layers;
    float *values, *gradient, *first_moment, *second_moment;
    const float *multiplier;
    int64_t value_count, connection_count;
    const float *factor, *shift;  // [inputs] standardised = raw * factor + shift; null for floats
    float *scratch;               // what `places` lays out, aligned to 64 bytes
};

struct sn_block {
    const void *inputs;     // uint16 bfloat16 in sample order where factor is given, else float
    const int32_t *labels;  // in the order of a group; negative: no sample there
    int32_t groups;         // of 32 samples, at most 8
};

struct sn_update {
    float rate, lowest, highest, decay, first_correction, second_correction;
};
}

namespace {

typedef float floats __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef int32_t ints __attribute__((vector_size(64)));
typedef uint8_t bytes __attribute__((vector_size(16)));
typedef float floats8 __attribute__((vector_size(32)));
typedef float floats4 __attribute__((vector_size(16)));

constexpr int LANES = 16, GROUP = 32;
constexpr float LEAK = 0.01f;

inline floats load(const float *from) {
    floats v;
    memcpy(&v, from, sizeof v);
    return v;
}
inline void store(float *to, floats v) { memcpy(to, &v, sizeof v); }
inline words load_pairs(const uint16_t *from) {
    words v;
    memcpy(&v, from, sizeof v);
    return v;
}
inline floats even(words pairs) { return (floats)(pairs << 16); }
inline floats odd(words pairs) { return (floats)(pairs & 0xffff0000u); }
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

// Where one layer's results go. `kept` is the same memory as `activated` unless z must be kept;
// kind < 0 is the output layer, whose z are the logits.
struct results {
    float *kept, *activated;
    int kind;
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

// z[unit] = bias + sum over its connections of weight * (raw * factor + shift)
template <int G>
void forward_raw(const sn_layer &layer, const sn_network &net, const uint16_t *in, results out) {
    for (int unit = 0; unit < layer.units; ++unit) {
        floats sums[2 * G];
        for (auto &partial : sums) partial = floats{};
        float constant = net.values[layer.biases + unit];
        for (int at = layer.row_pointers[unit]; at < layer.row_pointers[unit + 1]; ++at) {
            const int source = layer.columns[at];
            const float weight = net.values[layer.weights + at];
            constant += weight * net.shift[source];
            const floats scaled = all(weight * net.factor[source]);
            const uint16_t *row = in + (int64_t)source * G * GROUP;
            fetch_ahead<G * GROUP * 2>(in, layer.columns, at);
#pragma GCC unroll 8
            for (int g = 0; g < G; ++g) {
                const words pairs = load_pairs(row + g * GROUP);
                sums[2 * g] += scaled * even(pairs);
                sums[2 * g + 1] += scaled * odd(pairs);
            }
        }
        for (int v = 0; v < 2 * G; ++v)
            out.put((int64_t)unit * G * GROUP + v * LANES, sums[v] + constant);
    }
}

template <int G>
void forward(const sn_layer &layer, const sn_network &net, const float *in, results out) {
    for (int unit = 0; unit < layer.units; ++unit) {
        floats sums[2 * G];
        for (auto &partial : sums) partial = all(net.values[layer.biases + unit]);
        for (int at = layer.row_pointers[unit]; at < layer.row_pointers[unit + 1]; ++at) {
            const floats weight = all(net.values[layer.weights + at]);
            const float *row = in + (int64_t)layer.columns[at] * G * GROUP;
            fetch_ahead<G * GROUP * 4>(in, layer.columns, at);
#pragma GCC unroll 16
            for (int v = 0; v < 2 * G; ++v) sums[v] += weight * load(row + v * LANES);
        }
        for (int v = 0; v < 2 * G; ++v)
            out.put((int64_t)unit * G * GROUP + v * LANES, sums[v]);
    }
}

// One unit's derivatives in registers; returns their sum, which is the bias's gradient.
template <int G>
inline float take(const float *dz, floats *d) {
    floats total = floats{};
    for (int v = 0; v < 2 * G; ++v) {
        d[v] = load(dz + v * LANES);
        total += d[v];
    }
    return sum(total);
}

// gradient[connection] += sum over samples of dz[unit] * input[source]
template <int G>
void gradient_raw(const sn_layer &layer, const sn_network &net, const uint16_t *in, const float *dz) {
    for (int unit = 0; unit < layer.units; ++unit) {
        floats d[2 * G];
        const float whole = take<G>(dz + (int64_t)unit * G * GROUP, d);
        net.gradient[layer.biases + unit] += whole;
        for (int at = layer.row_pointers[unit]; at < layer.row_pointers[unit + 1]; ++at) {
            const int source = layer.columns[at];
            const uint16_t *row = in + (int64_t)source * G * GROUP;
            fetch_ahead<G * GROUP * 2>(in, layer.columns, at);
            floats a = floats{}, b = floats{};
#pragma GCC unroll 8
            for (int g = 0; g < G; ++g) {
                const words pairs = load_pairs(row + g * GROUP);
                a += d[2 * g] * even(pairs);
                b += d[2 * g + 1] * odd(pairs);
            }
            net.gradient[layer.weights + at] +=
                net.factor[source] * sum(a + b) + net.shift[source] * whole;
        }
    }
}

template <int G>
void gradient(const sn_layer &layer, const sn_network &net, const float *in, const float *dz) {
    for (int unit = 0; unit < layer.units; ++unit) {
        floats d[2 * G];
        net.gradient[layer.biases + unit] += take<G>(dz + (int64_t)unit * G * GROUP, d);
        for (int at = layer.row_pointers[unit]; at < layer.row_pointers[unit + 1]; ++at) {
            const float *row = in + (int64_t)layer.columns[at] * G * GROUP;
            fetch_ahead<G * GROUP * 4>(in, layer.columns, at);
            floats a = floats{}, b = floats{};
#pragma GCC unroll 8
            for (int v = 0; v < 2 * G; v += 2) {
                a += d[v] * load(row + v * LANES);
                b += d[v + 1] * load(row + (v + 1) * LANES);
            }
            net.gradient[layer.weights + at] += sum(a + b);
        }
    }
}

// dz of the layer before = (sum over consumers of weight * dz[unit]) * slope
template <int G>
void backward(const sn_layer &layer, const sn_network &net, const float *dz, const float *kept,
              float *dz_before) {
    for (int source = 0; source < layer.sources; ++source) {
        floats sums[2 * G];
        for (auto &partial : sums) partial = floats{};
        const int end = layer.source_pointers[source + 1];
        for (int at = layer.source_pointers[source]; at < end; ++at) {
            const floats weight = all(net.values[layer.weights + layer.source_order[at]]);
            const float *row = dz + (int64_t)layer.source_units[at] * G * GROUP;
            fetch_ahead<G * GROUP * 4>(dz, layer.source_units, at);
#pragma GCC unroll 16
            for (int v = 0; v < 2 * G; ++v) sums[v] += weight * load(row + v * LANES);
        }
        const int64_t place = (int64_t)source * G * GROUP;
        for (int v = 0; v < 2 * G; ++v) {
            const floats before = load(kept + place + v * LANES);
            store(dz_before + place + v * LANES, sums[v] * slope(net.activation, before));
        }
    }
}

// Where a forward pass leaves its results in the scratch memory.
struct places {
    const sn_network &net;
    int64_t width;
    int last() const { return net.layer_count - 1; }
    float *kept(int layer) const {
        const int copies = keeps_argument(net.activation) ? 2 : 1;
        float *at = net.scratch;
        for (int l = 0; l < layer; ++l) at += copies * width * net.layers[l].units;
        return at;
    }
    float *activated(int layer) const {
        const bool two = keeps_argument(net.activation);
        return kept(layer) + (two ? width * net.layers[layer].units : 0);
    }
    float *logits() const { return kept(last()); }
    float *spare(int which) const {
        int64_t widest = 0;
        for (int l = 0; l < last(); ++l)
            if (net.layers[l].units > widest) widest = net.layers[l].units;
        return logits() + width * (net.layers[last()].units + which * widest);
    }
    results of(int layer) const {
        if (layer == last()) return {logits(), nullptr, -1};
        return {kept(layer), activated(layer), net.activation};
    }
};

template <int G>
void forward_all(const sn_network &net, const sn_block &block) {
    const places at{net, G * GROUP};
    if (net.factor) forward_raw<G>(net.layers[0], net, (const uint16_t *)block.inputs, at.of(0));
    else forward<G>(net.layers[0], net, (const float *)block.inputs, at.of(0));
    for (int l = 1; l < net.layer_count; ++l)
        forward<G>(net.layers[l], net, at.activated(l - 1), at.of(l));
}

// Softmax cross-entropy, summed over the block's samples; logits become the derivative of the loss
// by them, times `scale`. `correct` counts samples whose largest logit is the first such and theirs.
double loss_of(float *logits, int classes, const sn_block &block, float scale, int64_t *correct) {
    const int64_t width = (int64_t)block.groups * GROUP;
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
        for (int lane = 0; lane < LANES; ++lane) {
            if (label[lane] < 0) continue;
            const float own = logits[label[lane] * width + v + lane];
            total += (double)std::log(whole[lane]) + ((double)top[lane] - own);
            *correct += best[lane] == label[lane];
        }
        for (int c = 0; c < classes; ++c) {
            float *place = logits + c * width + v;
            floats p = exponential(load(place) - top) / whole;
            p = label == c ? p - 1.0f : p;
            store(place, label < 0 ? floats{} : p * scale);
        }
    }
    return total;
}

template <int G>
double train_block(const sn_network &net, const sn_block &block, float scale) {
    forward_all<G>(net, block);
    const places at{net, G * GROUP};
    const int last = at.last();
    int64_t correct = 0;
    const double loss = loss_of(at.logits(), net.layers[last].units, block, scale, &correct);
    const float *dz = at.logits();
    for (int l = last; l > 0; --l) {
        gradient<G>(net.layers[l], net, at.activated(l - 1), dz);
        float *dz_before = at.spare(l & 1);
        backward<G>(net.layers[l], net, dz, at.kept(l - 1), dz_before);
        dz = dz_before;
    }
    if (net.factor) gradient_raw<G>(net.layers[0], net, (const uint16_t *)block.inputs, dz);
    else gradient<G>(net.layers[0], net, (const float *)block.inputs, dz);
    return loss;
}

// AdamW (Loshchilov & Hutter 2019); see engine/optimizer.py. Plain loops over plain arrays: the
// compiler makes vectors of them, square root included.
void move_range(const sn_network &net, const sn_update &u, int64_t begin, int64_t end, float decay) {
    float *__restrict w = net.values, *__restrict m = net.first_moment;
    float *__restrict v = net.second_moment;
    const float *__restrict g = net.gradient, *__restrict k = net.multiplier;
    const float first = 1.0f / u.first_correction, second = 1.0f / u.second_correction;
    for (int64_t i = begin; i < end; ++i) {
        m[i] += (g[i] - m[i]) * 0.1f;
        v[i] = v[i] * 0.999f + g[i] * g[i] * 0.001f;
        const float step = m[i] * first / (std::sqrt(v[i]) * second + 1e-8f) + decay * w[i];
        float rate = k[i] * u.rate;
        rate = rate < u.lowest ? u.lowest : rate;
        rate = rate > u.highest ? u.highest : rate;
        w[i] -= rate * step;
    }
}

// Decay on connections only, none on biases.
void move_values(const sn_network &net, const sn_update &u) {
    move_range(net, u, 0, net.connection_count, u.decay);
    move_range(net, u, net.connection_count, net.value_count, 0.0f);
}

// Sixteen rows of sixteen bytes, rows and columns exchanged: four rounds of interleaving row i with
// row i + 8.
inline void transpose(bytes *rows) {
#pragma GCC unroll 4
    for (int round = 0; round < 4; ++round) {
        bytes next[16];
#pragma GCC unroll 8
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

// The upper half of a float's bits is the bfloat16 of it, exact for whole numbers up to 256. A plain
// loop: compilers make vectors of it, and scalars of a conversion written in vectors.
inline void write_raw(uint16_t *__restrict to, const uint8_t *__restrict from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        const float exact = (float)(int32_t)from[i];
        uint32_t bits;
        memcpy(&bits, &exact, sizeof bits);
        to[i] = (uint16_t)(bits >> 16);
    }
}

}  // namespace

#define SN_BY_WIDTH(groups, call) \
    switch (groups) {             \
        case 1: return call(1);   \
        case 2: return call(2);   \
        case 3: return call(3);   \
        case 4: return call(4);   \
        case 5: return call(5);   \
        case 6: return call(6);   \
        case 7: return call(7);   \
        default: return call(8);  \
    }

static double train_any(const sn_network &net, const sn_block &block, float scale) {
#define SN_CALL(G) train_block<G>(net, block, scale)
    SN_BY_WIDTH(block.groups, SN_CALL)
#undef SN_CALL
}

static void forward_any(const sn_network &net, const sn_block &block) {
#define SN_CALL(G) forward_all<G>(net, block)
    SN_BY_WIDTH(block.groups, SN_CALL)
#undef SN_CALL
}

extern "C" {

// One optimizer step over the samples of all blocks; returns the mean loss in nats.
double sn_step(const sn_network *net, const sn_block *blocks, int32_t block_count, int64_t samples,
               const sn_update *update) {
    memset(net->gradient, 0, net->value_count * sizeof(float));
    double loss = 0.0;
    for (int b = 0; b < block_count; ++b) loss += train_any(*net, blocks[b], 1.0f / samples);
    move_values(*net, *update);
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

// Rows of 8-bit images as one block of bfloat16: [features][groups * 32], missing samples zero.
// `flip[i]` mirrors sample i along lines of `line` features. `spare` holds groups * 32 rows of
// features + 16 bytes: the rows are gathered first, then exchanged in tiles that stay in the cache.
void sn_pack(const uint8_t *images, int64_t features, const int64_t *rows, const uint8_t *flip,
             int32_t samples, int32_t line, int32_t groups, uint8_t *spare, uint16_t *block) {
    const int64_t width = (int64_t)groups * GROUP, pitch = features + LANES;
    memset(spare + samples * pitch, 0, (width - samples) * pitch);
    for (int sample = 0; sample < samples; ++sample) {
        const uint8_t *from = images + rows[sample] * features;
        uint8_t *to = spare + sample * pitch;
        memset(to + features, 0, LANES);
        if (flip == nullptr || !flip[sample]) {
            memcpy(to, from, features);
            continue;
        }
        for (int64_t start = 0; start < features; start += line)
            for (int64_t i = 0; i < line; ++i) to[start + i] = from[start + line - 1 - i];
    }
    uint8_t lines[LANES][256];
    for (int64_t feature = 0; feature < features; feature += LANES) {
        for (int64_t first = 0; first < width; first += LANES) {
            bytes tile[LANES];
            for (int lane = 0; lane < LANES; ++lane)
                memcpy(&tile[lane], spare + (first + lane) * pitch + feature, LANES);
            transpose(tile);
            for (int i = 0; i < LANES; ++i) memcpy(&lines[i][first], &tile[i], LANES);
        }
        const int64_t here = features - feature < LANES ? features - feature : LANES;
        for (int64_t i = 0; i < here; ++i)
            write_raw(block + (feature + i) * width, lines[i], width);
    }
}
}
