/* Messages of spec/protocol.toml: what the device answers, and the state behind it. Called by app.c.
 * Every message is idempotent: sent twice, it is answered twice and done once. */
#ifndef DFT_COMMANDS_H
#define DFT_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "dft/board.h"
#include "dft/engine.h"
#include "dft_protocol.h"

/* Longest output that fits a run_reply. */
#define DFT_OUTPUT_BYTES_MAX (DFT_MAX_PAYLOAD - DFT_RUN_REPLY_BYTES)

/* A message in either direction, without its frame. */
typedef struct dft_request {
    uint8_t type;
    const uint8_t *payload;
    uint32_t n;
} dft_request;

typedef struct dft_reply {
    uint8_t type;
    uint32_t n;
    uint8_t payload[DFT_MAX_PAYLOAD];
    bool then_halt; /* the board stops after this reply is sent */
} dft_reply;

/* The reply of the last run, kept so that a lost one can be asked for again. */
typedef struct dft_kept_run {
    bool valid;
    uint32_t run_id;
    uint32_t image_id;
    uint8_t status;
    uint64_t ticks;
    uint8_t output[DFT_OUTPUT_BYTES_MAX];
} dft_kept_run;

typedef struct dft_session {
    const dft_board *board;
    const dft_engine *engine;
    bool engine_open;
    dft_tensor in;
    dft_tensor out;
    bool image_begun; /* `received` bytes of image_id's input are there, from offset 0 without a hole */
    uint32_t image_id;
    uint32_t received;
    dft_kept_run kept;
    uint32_t runs;
    uint32_t frames_ok;
    uint32_t frames_bad;
    uint32_t ops_timed; /* operators of the last run in dft_op_ticks */
} dft_session;

/* Opens the engine on the generated regions. A refusal is kept: every run is then answered engine_failed. */
dft_status dft_session_open(dft_session *session, const dft_board *board, const dft_engine *engine);

/* Answers one request; each request gets exactly one reply. */
void dft_session_answer(dft_session *session, const dft_request *request, dft_reply *reply);

#endif
