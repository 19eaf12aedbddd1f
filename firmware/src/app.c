/* The loop between board and commands. Owns the link's buffers; they count as statics of the dtcm region.
 * While the engine computes, its operator hook comes back here (serve) and requests are answered in between. */
#include "dft/app.h"

#include <string.h>

#include "dft/commands.h"
#include "dft/frame.h"

/* A board with a short receive FIFO hands over less at a time. */
#define CHUNK_BYTES 256u
#define POLL_MS 100u

static dft_session session;
static dft_decoder decoder;
static dft_reply reply;
static uint8_t wire[DFT_WIRE_BYTES_MAX];

/* Bytes read and not yet fed to the decoder: a run that becomes due in mid-chunk starts before what follows it. */
static struct {
    uint8_t bytes[CHUNK_BYTES];
    uint32_t n;
    uint32_t at;
} chunk;

static bool halting;
static dft_status trouble; /* a transport that is gone, noticed while the engine computed */

/* A rate that the host asked for is kept as long as frames come through at it. On trial, half a second of silence ends
 * it; later, bursts of bytes that hold no frame do: a host that knows only the usual rate. */
#define TRIAL_POLLS 5u
#define BURSTS_MAX 3u

static struct {
    uint32_t usual; /* 0: the line is at its usual rate */
    bool trial;     /* no frame has come at the new rate yet */
    bool burst;     /* bytes came since the last silence, no frame among them */
    uint32_t silences;
    uint32_t bursts;
} rate;

static void change_baud(uint32_t baud) {
    const uint32_t usual = rate.usual == 0u ? session.board->baud() : rate.usual;
    if (session.board->set_baud(baud) == DFT_OK) {
        memset(&rate, 0, sizeof rate);
        rate.usual = baud == usual ? 0u : usual;
        rate.trial = true;
    }
}

static void frame_came(void) {
    rate.trial = rate.burst = false;
    rate.silences = rate.bursts = 0;
}

/* After each read that waited: n bytes came, and no frame has ended. */
static void mind_rate(uint32_t n) {
    if (rate.usual == 0u) {
        return;
    }
    rate.burst = rate.burst || n > 0u;
    if (n > 0u) {
        return;
    }
    rate.silences++;
    rate.bursts += rate.burst ? 1u : 0u;
    rate.burst = false;
    if ((rate.trial && rate.silences >= TRIAL_POLLS) || rate.bursts >= BURSTS_MAX) {
        change_baud(rate.usual);
    }
}

/* A reply that could not be sent in time is lost like any other: the host asks again. */
static void send_reply(uint8_t seq) {
    const uint32_t n = dft_frame_encode(wire, reply.type, seq, reply.payload, reply.n);
    const dft_status sent = session.board->write(wire, n);
    if (sent != DFT_OK && sent != DFT_ERR_TIMEOUT) {
        trouble = sent;
    }
    halting = halting || reply.then_halt;
    if (reply.then_baud != 0u && sent == DFT_OK) {
        change_baud(reply.then_baud);
    }
}

static void answer_frame(void) {
    const dft_request request = {
        .type = dft_decoder_type(&decoder),
        .seq = dft_decoder_seq(&decoder),
        .payload = dft_decoder_payload(&decoder),
        .n = dft_decoder_payload_bytes(&decoder),
    };
    frame_came();
    session.frames_ok = decoder.frames_ok;
    session.frames_bad = decoder.frames_bad;
    dft_session_answer(&session, &request, &reply);
    if (reply.type != DFT_NO_REPLY) {
        send_reply(request.seq);
    }
}

/* Up to the end of the chunk or of one frame, whichever comes first; true when a frame was answered. */
static bool feed(void) {
    while (chunk.at < chunk.n) {
        if (dft_decoder_push(&decoder, chunk.bytes[chunk.at++])) {
            answer_frame();
            return true;
        }
    }
    return false;
}

static void receive(uint32_t deadline_ms) {
    const int32_t n = session.board->read(chunk.bytes, sizeof chunk.bytes, deadline_ms);
    if (n < 0) {
        trouble = DFT_ERR_IO;
    }
    chunk.n = n < 0 ? 0u : (uint32_t)n;
    chunk.at = 0;
}

/* Between two operators: whatever has come, and no waiting. */
static bool serve(void) {
    bool served = false;
    while (trouble == DFT_OK && (chunk.at < chunk.n || session.board->received_bytes() > 0)) {
        if (chunk.at == chunk.n) {
            receive(0);
        }
        (void)feed();
        served = true;
    }
    return served;
}

static void step(void) {
    if (chunk.at == chunk.n) {
        session.board->kick();
        receive(POLL_MS);
        mind_rate(chunk.n);
    }
    uint8_t seq = 0;
    if (feed() && dft_session_work(&session, &reply, &seq)) {
        send_reply(seq);
    }
}

dft_status dft_app_run(const dft_board *board, const dft_engine *engine) {
    dft_decoder_init(&decoder);
    chunk.n = chunk.at = 0;
    memset(&rate, 0, sizeof rate);
    halting = false;
    trouble = DFT_OK;
    /* An engine that refused its memory still says hello; each run is then answered engine_failed. */
    const dft_status opened = dft_session_open(&session, board, engine, serve);
    while (!halting && trouble == DFT_OK) {
        step();
    }
    return trouble == DFT_OK ? opened : trouble;
}
