/* The loop between board and commands. Owns the link's buffers; they count as statics of the dtcm region. */
#include "dft/app.h"

#include "dft/commands.h"
#include "dft/frame.h"

/* A board with a short receive FIFO hands over less at a time. */
#define CHUNK_BYTES 256u
#define POLL_MS 100u

static dft_session session;
static dft_decoder decoder;
static dft_reply reply;
static uint8_t wire[DFT_WIRE_BYTES_MAX];

static dft_status answer_frame(void) {
    const dft_request request = {
        .type = dft_decoder_type(&decoder),
        .payload = dft_decoder_payload(&decoder),
        .n = dft_decoder_payload_bytes(&decoder),
    };
    session.frames_ok = decoder.frames_ok;
    session.frames_bad = decoder.frames_bad;
    dft_session_answer(&session, &request, &reply);
    const uint32_t n = dft_frame_encode(wire, reply.type, dft_decoder_seq(&decoder), reply.payload, reply.n);
    return session.board->write(wire, n);
}

/* A reply that could not be sent in time is lost like any other: the host asks again. */
static dft_status feed(const uint8_t *bytes, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (!dft_decoder_push(&decoder, bytes[i])) {
            continue;
        }
        const dft_status sent = answer_frame();
        if (sent != DFT_OK && sent != DFT_ERR_TIMEOUT) {
            return sent;
        }
        if (reply.then_halt) {
            return DFT_OK;
        }
    }
    return DFT_OK;
}

dft_status dft_app_run(const dft_board *board, const dft_engine *engine) {
    static uint8_t chunk[CHUNK_BYTES];
    dft_decoder_init(&decoder);
    reply.then_halt = false;
    /* An engine that refused its memory still says hello; each run is then answered engine_failed. */
    const dft_status opened = dft_session_open(&session, board, engine);
    while (!reply.then_halt) {
        const int32_t n = board->read(chunk, sizeof chunk, POLL_MS);
        if (n < 0) {
            return DFT_ERR_IO;
        }
        const dft_status fed = feed(chunk, (uint32_t)n);
        if (fed != DFT_OK) {
            return fed;
        }
    }
    return opened;
}
