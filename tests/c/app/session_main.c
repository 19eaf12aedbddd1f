/* The device's message handling as a filter, for tests: each input line "TYPE PAYLOAD" (decimal, hex, "-" for none)
 * is a request, each output line "TYPE PAYLOAD HALT" its reply; a run that was accepted gives a second one. Arguments: input bytes, output bytes, what goes wrong.
 * The engine adds one to every input byte, in place, and puts out the first bytes: the output overwrites the input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dft/commands.h"
#include "dft/memory.h"
#include "dft/proofs.h"

#define OPS 3u
#define LINE_MAX_BYTES (2u * DFT_MAX_PAYLOAD + 16u) /* the longest payload in hex behind its type */

const dft_region dft_regions[] = {{NULL, NULL, 0}};
const uint32_t dft_regions_n = 0;
uint32_t dft_op_ticks[OPS];
const uint32_t dft_op_ticks_n = OPS;

int8_t *const dft_staging = NULL;
const uint32_t dft_staging_bytes = 0;

/* Four tiles at most; an output is its own evidence: real from 100 on, fake to -100. */
static int16_t evidence[256];
static const int32_t real_from[4] = {100, 100, 100, 100}, fake_to[4] = {-100, -100, -100, -100};
static const int32_t nowhere[4] = {1, 1, 1, 1}, zeros[4] = {0, 0, 0, 0};
const dft_verdict_model dft_the_verdict = {4, evidence, real_from, fake_to, nowhere, zeros, nowhere, zeros};

const dft_proofs dft_the_proofs = {NULL, 0, NULL, 0};

static int8_t *arena;
static uint32_t in_bytes;
static uint32_t out_bytes;
static const char *trouble = "none";
static dft_op_hook hook;

static dft_status fake_open(const dft_region *regions, uint32_t n, dft_tensor *in, dft_tensor *out) {
    (void)regions;
    (void)n;
    if (strcmp(trouble, "open") == 0) {
        return DFT_ERR_REGION;
    }
    *in = (dft_tensor){arena, in_bytes};
    *out = (dft_tensor){arena, out_bytes};
    return DFT_OK;
}

static dft_status fake_invoke(void) {
    for (uint32_t i = 0; i < in_bytes; i++) {
        arena[i] = (int8_t)(arena[i] + 1);
    }
    for (uint32_t op = 0; op < OPS && hook != NULL; op++) {
        hook(op);
    }
    return strcmp(trouble, "invoke") == 0 ? DFT_ERR_STATE : DFT_OK;
}

static uint32_t fake_memory_used(void) { return in_bytes; }

static void fake_set_hook(dft_op_hook given) { hook = given; }

static uint64_t fake_ticks(void) {
    static uint64_t now;
    return now += 10;
}

static uint32_t fake_caps(void) { return strcmp(trouble, "nohalt") == 0 ? 0u : DFT_CAP_HALT; }

static uint32_t fake_number(void) { return 7; }

static uint32_t fake_baud_near(uint32_t wanted) { return wanted > 3000000u ? 0u : wanted; }

static dft_status fake_set_baud(uint32_t wanted) { return wanted == 0 ? DFT_ERR_SIZE : DFT_OK; }

static void fake_identity(uint8_t id[DFT_IDENTITY_BYTES]) { memset(id, 9, DFT_IDENTITY_BYTES); }

static bool fake_fault(dft_fault *record) {
    *record = (dft_fault){.kind = 2, .pc = 0x08001234, .sp = 0x20001000, .boot_id = 6};
    return strcmp(trouble, "faulted") == 0;
}

static void fake_kick(void) {}

static dft_stack fake_stack(void) { return (dft_stack){NULL, NULL}; }

static const uint8_t digest[32] = {1, 2, 3};

static const dft_engine engine = {
    .name = "a name that is far too long for its field",
    .bundle_digest = digest,
    .ops_n = OPS,
    .open = fake_open,
    .invoke = fake_invoke,
    .memory_used = fake_memory_used,
    .set_hook = fake_set_hook,
};

static const dft_board board = {
    .name = "fake",
    .caps = fake_caps,
    .ticks = fake_ticks,
    .tick_hz = fake_number,
    .boot_id = fake_number,
    .reset_cause = fake_number,
    .stack = fake_stack,
    .baud = fake_number,
    .baud_near = fake_baud_near,
    .set_baud = fake_set_baud,
    .identity = fake_identity,
    .fault = fake_fault,
    .kick = fake_kick,
};

static void show(const dft_reply *reply) {
    printf("%u ", reply->type);
    for (uint32_t i = 0; i < reply->n; i++) {
        printf("%02x", reply->payload[i]);
    }
    printf("%s %d\n", reply->n == 0 ? "-" : "", reply->then_halt);
}

/* The payload lies on the heap in its exact size: reading past it is seen. */
static void answer(dft_session *session, const char *line) {
    static dft_reply reply;
    unsigned type = 0;
    int at = 0;
    if (strchr(line, '\n') == NULL) {
        exit(2); /* cut: its rest would be taken for another request */
    }
    if (sscanf(line, "%u %n", &type, &at) != 1) {
        exit(2);
    }
    const char *text = line + at;
    const uint32_t n = text[0] == '-' ? 0 : (uint32_t)strspn(text, "0123456789abcdef") / 2;
    uint8_t *payload = malloc(n == 0 ? 1 : n);
    for (uint32_t i = 0; payload != NULL && i < n; i++) {
        unsigned value = 0;
        (void)sscanf(text + 2 * i, "%2x", &value);
        payload[i] = (uint8_t)value;
    }
    dft_session_answer(session, &(dft_request){(uint8_t)type, 0, payload, n}, &reply);
    free(payload);
    if (reply.type != DFT_NO_REPLY) {
        show(&reply);
    }
    uint8_t seq = 0;
    if (dft_session_work(session, &reply, &seq)) {
        show(&reply);
    }
}

int main(int argc, char **argv) {
    static char line[LINE_MAX_BYTES];
    dft_session *session = malloc(sizeof *session);
    if (session == NULL || argc != 4 || setvbuf(stdout, NULL, _IOLBF, BUFSIZ) != 0) {
        return 2;
    }
    for (int i = 0; i < 256; i++) {
        evidence[i] = (int16_t)(i - 128);
    }
    in_bytes = (uint32_t)atoi(argv[1]);
    out_bytes = (uint32_t)atoi(argv[2]);
    trouble = argv[3];
    arena = malloc(in_bytes > out_bytes ? in_bytes : out_bytes);
    printf("%d\n", dft_session_open(session, &board, &engine, NULL));
    while (fgets(line, (int)sizeof line, stdin) != NULL) {
        answer(session, line);
    }
    free(arena);
    free(session);
    return 0;
}
