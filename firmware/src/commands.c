/* The device's side of spec/protocol.toml. A request's length is checked before anything of it is stored.
 * Not here: framing (frame.c), bytes in and out (boards), arithmetic (engines). */
#include "dft/commands.h"

#include <string.h>

#include "dft/bytes.h"
#include "dft/crc.h"
#include "dft/memory.h"
#include "dft/stackmeter.h"

/* Where the operator hook writes: an engine's hook carries no context. */
static const dft_board *hook_board;
static uint64_t hook_last_ticks;

static void take_op_ticks(uint32_t op) {
    const uint64_t now = hook_board->ticks();
    if (op < dft_op_ticks_n) {
        dft_op_ticks[op] += (uint32_t)(now - hook_last_ticks);
    }
    hook_last_ticks = now;
}

static bool times_ops(const dft_session *s) { return s->engine->set_hook != NULL && s->engine->ops_n > 0; }

dft_status dft_session_open(dft_session *s, const dft_board *board, const dft_engine *engine) {
    memset(s, 0, sizeof *s);
    s->board = board;
    s->engine = engine;
    hook_board = board;
    dft_status status = engine->open(dft_regions, dft_regions_n, &s->in, &s->out);
    if (status == DFT_OK && s->out.bytes > DFT_OUTPUT_BYTES_MAX) {
        status = DFT_ERR_SIZE;
    }
    s->engine_open = status == DFT_OK;
    if (!s->engine_open) {
        s->in = (dft_tensor){NULL, 0};
        s->out = (dft_tensor){NULL, 0};
    } else if (times_ops(s)) {
        engine->set_hook(take_op_ticks);
    }
    return status;
}

static uint8_t *begin_reply(dft_reply *reply, uint8_t type, uint32_t n) {
    reply->type = type;
    reply->n = n;
    reply->then_halt = false;
    memset(reply->payload, 0, n);
    return reply->payload;
}

static void refuse(const dft_request *request, dft_reply *reply, uint8_t status) {
    uint8_t *p = begin_reply(reply, DFT_MSG_ERROR_REPLY, DFT_ERROR_REPLY_BYTES);
    p[DFT_ERROR_REPLY_OF_TYPE_AT] = request->type;
    p[DFT_ERROR_REPLY_STATUS_AT] = status;
}

/* At most 15 characters and a NUL; the field is already zero. */
static void put_name(uint8_t *field, const char *name) {
    for (uint32_t i = 0; i < DFT_STR16_BYTES - 1u && name[i] != '\0'; i++) {
        field[i] = (uint8_t)name[i];
    }
}

static void answer_hello(const dft_session *s, dft_reply *reply) {
    static const uint8_t protocol_digest[] = DFT_PROTOCOL_DIGEST;
    uint8_t *p = begin_reply(reply, DFT_MSG_HELLO_REPLY, DFT_HELLO_REPLY_BYTES);
    memcpy(p + DFT_HELLO_REPLY_PROTOCOL_DIGEST_AT, protocol_digest, sizeof protocol_digest);
    memcpy(p + DFT_HELLO_REPLY_BUNDLE_DIGEST_AT, s->engine->bundle_digest, DFT_BYTES32_BYTES);
    put_name(p + DFT_HELLO_REPLY_ENGINE_AT, s->engine->name);
    put_name(p + DFT_HELLO_REPLY_BOARD_AT, s->board->name);
    const uint32_t caps = s->board->caps() | (times_ops(s) ? DFT_CAP_OP_TICKS : 0u);
    dft_put_u32(p + DFT_HELLO_REPLY_CAPS_AT, caps);
    dft_put_u32(p + DFT_HELLO_REPLY_TICK_HZ_AT, s->board->tick_hz());
    dft_put_u32(p + DFT_HELLO_REPLY_BOOT_ID_AT, s->board->boot_id());
    dft_put_u32(p + DFT_HELLO_REPLY_INPUT_BYTES_AT, s->in.bytes);
    dft_put_u32(p + DFT_HELLO_REPLY_OUTPUT_BYTES_AT, s->out.bytes);
    dft_put_u32(p + DFT_HELLO_REPLY_RESET_CAUSE_AT, s->board->reset_cause());
}

/* Stores a piece that leaves no hole; a piece of another image must be its first. */
static uint8_t store_piece(dft_session *s, uint32_t image_id, uint32_t offset, const uint8_t *data, uint32_t n) {
    if (offset > s->in.bytes || n > s->in.bytes - offset) {
        return DFT_REPLY_BAD_LENGTH;
    }
    if (!s->image_begun || image_id != s->image_id) {
        if (offset != 0) {
            return DFT_REPLY_BAD_OFFSET;
        }
        s->image_begun = true;
        s->image_id = image_id;
        s->received = 0;
    }
    if (offset > s->received) {
        return DFT_REPLY_BAD_OFFSET;
    }
    if (n > 0) {
        memcpy(s->in.data + offset, data, n);
    }
    if (offset + n > s->received) {
        s->received = offset + n;
    }
    return DFT_REPLY_OK;
}

static void answer_input(dft_session *s, const dft_request *request, dft_reply *reply) {
    if (request->n < DFT_INPUT_BYTES) {
        refuse(request, reply, DFT_REPLY_BAD_LENGTH);
        return;
    }
    const uint32_t image_id = dft_get_u32(request->payload + DFT_INPUT_IMAGE_ID_AT);
    const uint32_t offset = dft_get_u32(request->payload + DFT_INPUT_OFFSET_AT);
    const uint8_t status =
        store_piece(s, image_id, offset, request->payload + DFT_INPUT_DATA_AT, request->n - DFT_INPUT_BYTES);
    const bool same = s->image_begun && image_id == s->image_id;
    uint8_t *p = begin_reply(reply, DFT_MSG_INPUT_REPLY, DFT_INPUT_REPLY_BYTES);
    dft_put_u32(p + DFT_INPUT_REPLY_IMAGE_ID_AT, image_id);
    dft_put_u32(p + DFT_INPUT_REPLY_RECEIVED_AT, same ? s->received : 0u);
    p[DFT_INPUT_REPLY_STATUS_AT] = status;
}

static void reply_run(dft_reply *reply, uint32_t run_id, uint8_t status) {
    uint8_t *p = begin_reply(reply, DFT_MSG_RUN_REPLY, DFT_RUN_REPLY_BYTES);
    dft_put_u32(p + DFT_RUN_REPLY_RUN_ID_AT, run_id);
    p[DFT_RUN_REPLY_STATUS_AT] = status;
}

static void reply_kept(const dft_session *s, dft_reply *reply) {
    reply_run(reply, s->kept.run_id, s->kept.status);
    dft_put_u64(reply->payload + DFT_RUN_REPLY_TICKS_AT, s->kept.ticks);
    if (s->kept.status == DFT_REPLY_OK) {
        memcpy(reply->payload + DFT_RUN_REPLY_OUTPUT_AT, s->kept.output, s->out.bytes);
        reply->n += s->out.bytes;
    }
}

/* Runs the engine and keeps its reply. The input is gone afterwards: an output may lie over it. */
static void run_and_keep(dft_session *s, uint32_t run_id, uint32_t image_id) {
    s->kept.valid = false;
    memset(dft_op_ticks, 0, dft_op_ticks_n * sizeof dft_op_ticks[0]);
    s->image_begun = false;
    s->received = 0;
    const uint64_t start = s->board->ticks();
    hook_last_ticks = start;
    const dft_status status = s->engine->invoke();
    s->kept.ticks = s->board->ticks() - start;
    s->kept.status = status == DFT_OK ? DFT_REPLY_OK : DFT_REPLY_ENGINE_FAILED;
    s->kept.run_id = run_id;
    s->kept.image_id = image_id;
    memcpy(s->kept.output, s->out.data, s->out.bytes);
    s->kept.valid = true;
    s->ops_timed = times_ops(s) ? s->engine->ops_n : 0u;
    s->runs++;
}

static void answer_run(dft_session *s, const dft_request *request, dft_reply *reply) {
    if (request->n != DFT_RUN_BYTES) {
        refuse(request, reply, DFT_REPLY_BAD_LENGTH);
        return;
    }
    const uint32_t run_id = dft_get_u32(request->payload + DFT_RUN_RUN_ID_AT);
    const uint32_t image_id = dft_get_u32(request->payload + DFT_RUN_IMAGE_ID_AT);
    const uint32_t wanted_crc = dft_get_u32(request->payload + DFT_RUN_INPUT_CRC_AT);
    if (!s->engine_open) {
        reply_run(reply, run_id, DFT_REPLY_ENGINE_FAILED);
        return;
    }
    if (s->kept.valid && s->kept.run_id == run_id && s->kept.image_id == image_id) {
        reply_kept(s, reply);
        return;
    }
    if (!s->image_begun || s->image_id != image_id || s->received != s->in.bytes) {
        reply_run(reply, run_id, DFT_REPLY_NO_INPUT);
        return;
    }
    if (~dft_crc(DFT_CRC_START, (const uint8_t *)s->in.data, s->in.bytes) != wanted_crc) {
        s->image_begun = false;
        reply_run(reply, run_id, DFT_REPLY_BAD_CRC);
        return;
    }
    run_and_keep(s, run_id, image_id);
    reply_kept(s, reply);
}

static void answer_stats(const dft_session *s, dft_reply *reply) {
    const dft_stack stack = s->board->stack();
    uint8_t *p = begin_reply(reply, DFT_MSG_STATS_REPLY, DFT_STATS_REPLY_BYTES);
    dft_put_u32(p + DFT_STATS_REPLY_STACK_PEAK_BYTES_AT, dft_stack_peak_bytes(stack));
    dft_put_u32(p + DFT_STATS_REPLY_STACK_BYTES_AT, dft_stack_bytes(stack));
    dft_put_u32(p + DFT_STATS_REPLY_ARENA_BYTES_AT, s->engine_open ? s->engine->memory_used() : 0u);
    dft_put_u32(p + DFT_STATS_REPLY_FRAMES_OK_AT, s->frames_ok);
    dft_put_u32(p + DFT_STATS_REPLY_FRAMES_BAD_AT, s->frames_bad);
    dft_put_u32(p + DFT_STATS_REPLY_RUNS_AT, s->runs);
}

static void answer_op_ticks(const dft_session *s, const dft_request *request, dft_reply *reply) {
    if (request->n != DFT_OP_TICKS_BYTES) {
        refuse(request, reply, DFT_REPLY_BAD_LENGTH);
        return;
    }
    if (!times_ops(s)) {
        refuse(request, reply, DFT_REPLY_NOT_SUPPORTED);
        return;
    }
    const uint32_t first = dft_get_u16(request->payload + DFT_OP_TICKS_FIRST_AT);
    const uint32_t total = s->ops_timed < dft_op_ticks_n ? s->ops_timed : dft_op_ticks_n;
    const uint32_t room = (DFT_MAX_PAYLOAD - DFT_OP_TICKS_REPLY_BYTES) / sizeof dft_op_ticks[0];
    uint8_t *p = begin_reply(reply, DFT_MSG_OP_TICKS_REPLY, DFT_OP_TICKS_REPLY_BYTES);
    dft_put_u16(p + DFT_OP_TICKS_REPLY_FIRST_AT, first);
    dft_put_u16(p + DFT_OP_TICKS_REPLY_TOTAL_AT, total);
    for (uint32_t i = 0; i < room && first + i < total; i++) {
        dft_put_u32(p + reply->n, dft_op_ticks[first + i]);
        reply->n += (uint32_t)sizeof dft_op_ticks[0];
    }
}

static void answer_halt(const dft_session *s, dft_reply *reply) {
    const bool can = (s->board->caps() & DFT_CAP_HALT) != 0u;
    uint8_t *p = begin_reply(reply, DFT_MSG_HALT_REPLY, DFT_HALT_REPLY_BYTES);
    p[DFT_HALT_REPLY_STATUS_AT] = can ? DFT_REPLY_OK : DFT_REPLY_NOT_SUPPORTED;
    reply->then_halt = can;
}

/* Messages without fields: anything behind their type and seq is an error. */
static bool empty(const dft_request *request, dft_reply *reply) {
    if (request->n == 0) {
        return true;
    }
    refuse(request, reply, DFT_REPLY_BAD_LENGTH);
    return false;
}

void dft_session_answer(dft_session *s, const dft_request *request, dft_reply *reply) {
    switch (request->type) {
        case DFT_MSG_HELLO:
            if (empty(request, reply)) {
                answer_hello(s, reply);
            }
            break;
        case DFT_MSG_INPUT: answer_input(s, request, reply); break;
        case DFT_MSG_RUN: answer_run(s, request, reply); break;
        case DFT_MSG_STATS:
            if (empty(request, reply)) {
                answer_stats(s, reply);
            }
            break;
        case DFT_MSG_OP_TICKS: answer_op_ticks(s, request, reply); break;
        case DFT_MSG_HALT:
            if (empty(request, reply)) {
                answer_halt(s, reply);
            }
            break;
        default: refuse(request, reply, DFT_REPLY_UNKNOWN_TYPE); break;
    }
}
