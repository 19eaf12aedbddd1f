/* Messages of spec/protocol.toml: what the device answers, and the state behind it. Called by app.c.
 * Every message is idempotent: sent twice, it is answered twice and done once. */
#ifndef DFT_COMMANDS_H
#define DFT_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "dft/board.h"
#include "dft/engine.h"
#include "dft/input.h"
#include "dft/verdict.h"
#include "dft_protocol.h"

/* Longest output that fits a run_reply. */
#define DFT_OUTPUT_BYTES_MAX (DFT_MAX_PAYLOAD - DFT_RUN_REPLY_BYTES)

/* A message in either direction, without its frame. */
typedef struct dft_request {
    uint8_t type;
    uint8_t seq;
    const uint8_t *payload;
    uint32_t n;
} dft_request;

/* The type of a reply that is not sent: it comes later. */
#define DFT_NO_REPLY 0u

typedef struct dft_reply {
    uint8_t type;
    uint32_t n;
    uint8_t payload[DFT_MAX_PAYLOAD];
    bool then_halt;     /* the board stops after this reply is sent */
    uint32_t then_baud; /* the line changes to this rate after this reply is sent; 0: it stays */
} dft_reply;

/* The reply of the last run, kept so that a lost one can be asked for again. */
typedef struct dft_kept_run {
    bool valid;
    uint32_t run_id;
    uint32_t image_id;
    uint8_t status;
    uint64_t ticks;
    dft_verdict photo; /* as it stood after this run */
    int8_t output[DFT_OUTPUT_BYTES_MAX];
} dft_kept_run;

/* A run from the request that was accepted to its result. */
typedef struct dft_due_run {
    bool due; /* accepted, not done yet */
    uint8_t seq;
    uint32_t run_id;
    uint32_t image_id;
    uint32_t photo_id; /* 0: not of a photo */
} dft_due_run;

/* A self-test that was asked for. */
typedef struct dft_due_test {
    bool due;
    uint8_t seq;
    uint32_t index;
} dft_due_test;

/* Serves the link while the engine computes; true when it did something. Its ticks are not the engine's. */
typedef bool (*dft_service)(void);

typedef struct dft_session {
    const dft_board *board;
    const dft_engine *engine;
    bool engine_open;
    bool overlaps; /* the image is received in a staging buffer, apart from the engine's input */
    dft_tensor in;
    dft_tensor out;
    uint32_t id; /* the host's session; 0: none since the boot */
    dft_input input;
    dft_verdict photo; /* photo_id 0: none */
    uint32_t arena_bytes;
    dft_due_run run;
    dft_due_test test;
    dft_kept_run kept;
    uint32_t runs;
    uint32_t frames_ok;
    uint32_t frames_bad;
    uint32_t ops_timed; /* operators of the last run in dft_op_ticks */
} dft_session;

/* Opens the engine on the generated regions. A refusal is kept: every run is then answered engine_failed. `service` is
 * called between operators where the board can receive meanwhile; null for never. */
dft_status dft_session_open(dft_session *session, const dft_board *board, const dft_engine *engine, dft_service service);

/* Answers one request at once; each gets exactly one reply. A run is accepted here and a self-test only noted (no reply
 * yet): dft_session_work does them, so that nothing which is done inside a run can start another one. */
void dft_session_answer(dft_session *session, const dft_request *request, dft_reply *reply);

/* Does what is due, if anything is; true with the reply that goes out under *seq. */
bool dft_session_work(dft_session *session, dft_reply *reply, uint8_t *seq);

#endif
