/* The device's whole parser as one function of bytes, for libFuzzer and for the replay of its corpus: frames, messages,
 * pieces, packed pieces. Compiled by tools/fuzz and tests/c/fuzz with the firmware's own sources.
 * Byte 0: bit 0 says whether what follows is a raw stream of the wire, or messages "TYPE LENGTH:u16 PAYLOAD" that get a
 * right CRC here; bit 1 gives the device a staging buffer; bit 2 lets the engine call its hook in the middle of a run. */
#include <stdlib.h>
#include <string.h>

#include "dft/commands.h"
#include "dft/frame.h"
#include "dft/memory.h"
#include "dft/proofs.h"

#define IN_BYTES 300u
#define OUT_BYTES 4u
#define OPS 2u

const dft_region dft_regions[] = {{NULL, NULL, 0}};
const uint32_t dft_regions_n = 0;
uint32_t dft_op_ticks[OPS];
const uint32_t dft_op_ticks_n = OPS;
static int8_t staging[IN_BYTES];
int8_t *const dft_staging = staging;
const uint32_t dft_staging_bytes = IN_BYTES;

static int16_t evidence[256];
static const int32_t high[2] = {100, 100}, low[2] = {-100, -100};
const dft_verdict_model dft_the_verdict = {2, evidence, high, low, high, low, high, low};

const dft_proofs dft_the_proofs = {NULL, 0, NULL, 0};

static int8_t arena[IN_BYTES];
static dft_op_hook hook;
static bool hooked;
static bool overlapping;

static dft_status fake_open(const dft_region *regions, uint32_t n, dft_tensor *in, dft_tensor *out) {
    (void)regions;
    (void)n;
    *in = (dft_tensor){arena, IN_BYTES};
    *out = (dft_tensor){arena, OUT_BYTES};
    return DFT_OK;
}

static dft_status fake_invoke(void) {
    for (uint32_t op = 0; op < OPS + 1u && hooked; op++) {
        hook(op);
    }
    arena[0] = (int8_t)(arena[0] + 1);
    return arena[1] == 77 ? DFT_ERR_STATE : DFT_OK;
}

static uint32_t fake_memory_used(void) { return IN_BYTES; }
static void fake_set_hook(dft_op_hook given) { hook = given; }
static uint64_t fake_ticks(void) {
    static uint64_t now;
    return ++now;
}
static uint32_t fake_number(void) { return 7; }
static uint32_t fake_waiting(void) { return 0; }
static dft_stack fake_stack(void) { return (dft_stack){NULL, NULL}; }
static uint32_t fake_baud_near(uint32_t wanted) { return wanted > 3000000u ? 0u : wanted; }
static dft_status fake_set_baud(uint32_t wanted) { return wanted == 0u ? DFT_ERR_SIZE : DFT_OK; }
static void fake_identity(uint8_t id[DFT_IDENTITY_BYTES]) { memset(id, 1, DFT_IDENTITY_BYTES); }
static bool fake_fault(dft_fault *record) {
    memset(record, 0, sizeof *record);
    return arena[2] > 0;
}
static void fake_kick(void) {}

static const uint8_t digest[32] = {1};
static const dft_engine engine = {
    .name = "fuzz", .bundle_digest = digest, .ops_n = OPS, .open = fake_open, .invoke = fake_invoke,
    .memory_used = fake_memory_used, .set_hook = fake_set_hook,
};
static dft_board board = {
    .name = "fuzz", .caps = fake_number, .ticks = fake_ticks, .tick_hz = fake_number, .boot_id = fake_number,
    .reset_cause = fake_number, .stack = fake_stack, .baud = fake_number, .baud_near = fake_baud_near,
    .set_baud = fake_set_baud, .identity = fake_identity, .fault = fake_fault, .kick = fake_kick,
};

static dft_session session;
static dft_decoder decoder;
static dft_reply reply;
static uint8_t wire[DFT_WIRE_BYTES_MAX];
static uint32_t depth;

/* What a frame's answer must be: sound in length, and itself a frame. */
static void check_reply(void) {
    if (reply.n > DFT_MAX_PAYLOAD || dft_frame_encode(wire, reply.type, 1, reply.payload, reply.n) == 0) {
        abort();
    }
}

static void push(uint8_t byte) {
    if (!dft_decoder_push(&decoder, byte)) {
        return;
    }
    const uint32_t n = dft_decoder_payload_bytes(&decoder);
    uint8_t *payload = malloc(n == 0 ? 1 : n); /* in its exact size: reading past it is seen */
    if (payload == NULL) {
        return;
    }
    memcpy(payload, dft_decoder_payload(&decoder), n);
    const dft_request request = {dft_decoder_type(&decoder), dft_decoder_seq(&decoder), payload, n};
    dft_session_answer(&session, &request, &reply);
    free(payload);
    check_reply();
    uint8_t seq = 0;
    while (depth == 0 && dft_session_work(&session, &reply, &seq)) {
        check_reply();
    }
}

static const uint8_t *rest; /* of the input, some of it taken while a run is being done */
static size_t rest_n;

static uint8_t next(void) {
    rest_n--;
    return *rest++;
}

static void push_message(void) {
    static uint8_t sent[DFT_WIRE_BYTES_MAX];
    const uint8_t type = next();
    uint32_t n = next();
    n |= (uint32_t)next() << 8;
    n = n > rest_n ? (uint32_t)rest_n : n;
    const uint32_t bytes = dft_frame_encode(sent, type, 0, rest, n > DFT_MAX_PAYLOAD ? DFT_MAX_PAYLOAD : n);
    rest += n;
    rest_n -= n;
    for (uint32_t i = 0; i < bytes; i++) {
        push(sent[i]);
    }
}

static bool serve(void) {
    if (rest_n < 3 || depth > 0) {
        return false;
    }
    depth++;
    push_message();
    depth--;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    overlapping = (data[0] & 2u) != 0;
    hooked = (data[0] & 4u) != 0;
    board.received_bytes = overlapping ? fake_waiting : NULL;
    depth = 0;
    rest = data + 1;
    rest_n = size - 1;
    memset(arena, 0, sizeof arena);
    dft_decoder_init(&decoder);
    (void)dft_session_open(&session, &board, &engine, serve);
    while ((data[0] & 1u) != 0 ? rest_n >= 3 : rest_n > 0) {
        if ((data[0] & 1u) != 0) {
            push_message();
        } else {
            push(next());
        }
    }
    return 0;
}
