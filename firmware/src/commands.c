/* The device's side of spec/protocol.toml. A request's length is checked before anything of it is stored.
 * Not here: framing (frame.c), bytes in and out (boards), arithmetic (engines). */
#include "dft/commands.h"

#include <string.h>

#include "dft/bytes.h"
#include "dft/memory.h"
#include "dft/selftest.h"
#include "dft/stackmeter.h"

_Static_assert(DFT_VERDICT_NONE == DFT_DECISION_NONE && DFT_VERDICT_REAL == DFT_DECISION_REAL &&
                   DFT_VERDICT_FAKE == DFT_DECISION_FAKE && DFT_VERDICT_UNDECIDED == DFT_DECISION_UNDECIDED,
               "a verdict goes over the wire as it is");

/* Where the operator hook writes: an engine's hook carries no context. */
static struct {
    const dft_board *board;
    dft_service service; /* null: the link waits until the run is done */
    uint64_t last_ticks;
    uint64_t served_ticks; /* of this run, spent on the link */
} hook;

static void take_op_ticks(uint32_t op) {
    const uint64_t now = hook.board->ticks();
    if (op < dft_op_ticks_n) {
        dft_op_ticks[op] += (uint32_t)(now - hook.last_ticks);
    }
    hook.last_ticks = now;
    hook.board->kick();
    if (hook.service != NULL && hook.service()) {
        hook.last_ticks = hook.board->ticks();
        hook.served_ticks += hook.last_ticks - now;
    }
}

static bool times_ops(const dft_session *s) { return s->engine->set_hook != NULL && s->engine->ops_n > 0; }

/* Pieces go to the staging buffer where the build had room for one, else into the engine's input. */
static void open_input(dft_session *s, dft_service service) {
    s->overlaps = s->in.bytes > 0 && dft_staging_bytes >= s->in.bytes && s->board->received_bytes != NULL && times_ops(s);
    dft_input_open(&s->input, s->overlaps ? dft_staging : s->in.data, s->in.bytes);
    hook.board = s->board;
    hook.service = s->overlaps ? service : NULL;
}

dft_status dft_session_open(dft_session *s, const dft_board *board, const dft_engine *engine, dft_service service) {
    memset(s, 0, sizeof *s);
    s->board = board;
    s->engine = engine;
    dft_status status = engine->open(dft_regions, dft_regions_n, &s->in, &s->out);
    if (status == DFT_OK && s->out.bytes > DFT_OUTPUT_BYTES_MAX) {
        status = DFT_ERR_SIZE;
    }
    s->engine_open = status == DFT_OK;
    if (!s->engine_open) {
        s->in = (dft_tensor){NULL, 0};
        s->out = (dft_tensor){NULL, 0};
    }
    s->arena_bytes = s->engine_open ? engine->memory_used() : 0u;
    open_input(s, service);
    if (s->engine_open && times_ops(s)) {
        engine->set_hook(take_op_ticks);
    }
    return status;
}

static uint8_t *begin_reply(dft_reply *reply, uint8_t type, uint32_t n) {
    reply->type = type;
    reply->n = n;
    reply->then_halt = false;
    reply->then_baud = 0;
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

static uint32_t caps(const dft_session *s) {
    uint32_t found = s->board->caps() | DFT_CAP_PACKED | DFT_CAP_SELFTEST | DFT_CAP_FAULT_RECORD;
    found |= times_ops(s) ? DFT_CAP_OP_TICKS : 0u;
    found |= s->overlaps ? DFT_CAP_OVERLAP : 0u;
    found |= s->board->baud() != 0u ? DFT_CAP_BAUD : 0u;
    found |= dft_the_verdict.tiles_max != 0u ? DFT_CAP_VERDICT : 0u;
    return found;
}

/* A host that takes the device over finds nothing of the one before it. */
static void take_over(dft_session *s, uint32_t id) {
    if (id != 0 && id != s->id) {
        s->id = id;
        dft_input_drop(&s->input);
        s->photo = (dft_verdict){0};
    }
}

static void answer_hello(dft_session *s, const dft_request *request, dft_reply *reply) {
    static const uint8_t protocol_digest[] = DFT_PROTOCOL_DIGEST;
    take_over(s, dft_get_u32(request->payload + DFT_HELLO_SESSION_AT));
    uint8_t *p = begin_reply(reply, DFT_MSG_HELLO_REPLY, DFT_HELLO_REPLY_BYTES);
    memcpy(p + DFT_HELLO_REPLY_PROTOCOL_DIGEST_AT, protocol_digest, sizeof protocol_digest);
    memcpy(p + DFT_HELLO_REPLY_BUNDLE_DIGEST_AT, s->engine->bundle_digest, DFT_BYTES32_BYTES);
    put_name(p + DFT_HELLO_REPLY_ENGINE_AT, s->engine->name);
    put_name(p + DFT_HELLO_REPLY_BOARD_AT, s->board->name);
    dft_put_u32(p + DFT_HELLO_REPLY_CAPS_AT, caps(s));
    dft_put_u32(p + DFT_HELLO_REPLY_TICK_HZ_AT, s->board->tick_hz());
    dft_put_u32(p + DFT_HELLO_REPLY_BOOT_ID_AT, s->board->boot_id());
    dft_put_u32(p + DFT_HELLO_REPLY_INPUT_BYTES_AT, s->in.bytes);
    dft_put_u32(p + DFT_HELLO_REPLY_OUTPUT_BYTES_AT, s->out.bytes);
    dft_put_u32(p + DFT_HELLO_REPLY_RESET_CAUSE_AT, s->board->reset_cause());
    s->board->identity(p + DFT_HELLO_REPLY_UID_AT);
    dft_put_u32(p + DFT_HELLO_REPLY_SESSION_AT, s->id);
    dft_put_u32(p + DFT_HELLO_REPLY_WINDOW_AT, s->board->received_bytes_max);
    dft_put_u32(p + DFT_HELLO_REPLY_BAUD_AT, s->board->baud());
}

static uint8_t store_piece(dft_session *s, const dft_request *request, const dft_piece *piece) {
    if (dft_get_u32(request->payload + DFT_INPUT_SESSION_AT) != s->id) {
        return DFT_REPLY_OTHER_SESSION;
    }
    /* Without a staging buffer the pieces' place is the engine's until the run is done. */
    if (s->run.due && !s->overlaps) {
        return DFT_REPLY_BUSY;
    }
    return dft_input_store(&s->input, piece);
}

static void answer_input(dft_session *s, const dft_request *request, dft_reply *reply) {
    if (request->n < DFT_INPUT_BYTES) {
        refuse(request, reply, DFT_REPLY_BAD_LENGTH);
        return;
    }
    const dft_piece piece = {
        .image_id = dft_get_u32(request->payload + DFT_INPUT_IMAGE_ID_AT),
        .offset = dft_get_u32(request->payload + DFT_INPUT_OFFSET_AT),
        .raw_bytes = dft_get_u16(request->payload + DFT_INPUT_RAW_BYTES_AT),
        .coding = request->payload[DFT_INPUT_CODING_AT],
        .data = request->payload + DFT_INPUT_DATA_AT,
        .n = request->n - DFT_INPUT_BYTES,
    };
    const uint8_t status = store_piece(s, request, &piece);
    const bool same = s->input.begun && piece.image_id == s->input.image_id;
    uint8_t *p = begin_reply(reply, DFT_MSG_INPUT_REPLY, DFT_INPUT_REPLY_BYTES);
    dft_put_u32(p + DFT_INPUT_REPLY_IMAGE_ID_AT, piece.image_id);
    dft_put_u32(p + DFT_INPUT_REPLY_RECEIVED_AT, same ? s->input.received : 0u);
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
    dft_put_u32(reply->payload + DFT_RUN_REPLY_PHOTO_ID_AT, s->kept.photo.photo_id);
    dft_put_u16(reply->payload + DFT_RUN_REPLY_SEEN_AT, s->kept.photo.seen);
    dft_put_u32(reply->payload + DFT_RUN_REPLY_EVIDENCE_AT, (uint32_t)s->kept.photo.evidence);
    reply->payload[DFT_RUN_REPLY_DECISION_AT] = s->kept.photo.decision;
    if (s->kept.status == DFT_REPLY_OK) {
        memcpy(reply->payload + DFT_RUN_REPLY_OUTPUT_AT, s->kept.output, s->out.bytes);
        reply->n += s->out.bytes;
    }
}

static void do_selftest(dft_session *s, dft_reply *reply) {
    const uint32_t index = s->test.index;
    dft_selftest result = {.name = "", .status = DFT_SELFTEST_ABSENT};
    s->test.due = false;
    (void)dft_selftest_run(s->board, s->engine, index, &result);
    s->ops_timed = 0; /* the test may have used the hook, and where operators' ticks are kept */
    if (s->engine_open && times_ops(s)) {
        s->engine->set_hook(take_op_ticks);
    }
    uint8_t *p = begin_reply(reply, DFT_MSG_SELFTEST_REPLY, DFT_SELFTEST_REPLY_BYTES);
    dft_put_u16(p + DFT_SELFTEST_REPLY_INDEX_AT, index);
    dft_put_u16(p + DFT_SELFTEST_REPLY_TOTAL_AT, dft_selftest_n(s->board, s->engine));
    p[DFT_SELFTEST_REPLY_STATUS_AT] = (uint8_t)result.status;
    put_name(p + DFT_SELFTEST_REPLY_NAME_AT, result.name);
    dft_put_u64(p + DFT_SELFTEST_REPLY_TICKS_AT, result.ticks);
    dft_put_u32(p + DFT_SELFTEST_REPLY_DETAIL_AT, result.detail);
}

/* Once a run, whatever becomes of its reply. */
static void count_evidence(dft_session *s) {
    s->kept.photo = (dft_verdict){0};
    if (s->run.photo_id != 0 && s->kept.status == DFT_REPLY_OK) {
        (void)dft_verdict_add(&s->photo, s->kept.output, s->out.bytes);
        s->kept.photo = s->photo;
    }
}

/* Runs the engine and keeps its reply. The input is gone afterwards: an output may lie over it. A staging buffer is free
 * for the next image as soon as the engine has its copy. */
static void do_run(dft_session *s, dft_reply *reply) {
    s->kept.valid = false;
    memset(dft_op_ticks, 0, dft_op_ticks_n * sizeof dft_op_ticks[0]);
    if (s->overlaps) {
        memcpy(s->in.data, s->input.data, s->in.bytes);
    }
    dft_input_drop(&s->input);
    hook.served_ticks = 0;
    const uint64_t start = s->board->ticks();
    hook.last_ticks = start;
    const dft_status status = s->engine->invoke();
    s->kept.ticks = s->board->ticks() - start - hook.served_ticks;
    s->kept.status = status == DFT_OK ? DFT_REPLY_OK : DFT_REPLY_ENGINE_FAILED;
    s->kept.run_id = s->run.run_id;
    s->kept.image_id = s->run.image_id;
    memcpy(s->kept.output, s->out.data, s->out.bytes);
    count_evidence(s);
    s->kept.valid = true;
    s->run.due = false;
    s->ops_timed = times_ops(s) ? s->engine->ops_n : 0u;
    s->runs++;
    reply_kept(s, reply);
}

bool dft_session_work(dft_session *s, dft_reply *reply, uint8_t *seq) {
    if (s->test.due) {
        *seq = s->test.seq;
        do_selftest(s, reply);
        return true;
    }
    if (s->run.due) {
        *seq = s->run.seq;
        do_run(s, reply);
        return true;
    }
    return false;
}

/* What becomes of a run that is not the last one: DFT_REPLY_RUNNING when it is accepted. */
static uint8_t accept_run(dft_session *s, const dft_request *request, uint32_t run_id, uint32_t image_id) {
    if (dft_get_u32(request->payload + DFT_RUN_SESSION_AT) != s->id) {
        return DFT_REPLY_OTHER_SESSION;
    }
    if (!s->engine_open) {
        return DFT_REPLY_ENGINE_FAILED;
    }
    if (s->test.due) {
        return DFT_REPLY_BUSY;
    }
    if (s->run.due) {
        return (uint8_t)(s->run.run_id == run_id ? DFT_REPLY_RUNNING : DFT_REPLY_BUSY);
    }
    if (!dft_input_complete(&s->input) || s->input.image_id != image_id) {
        return DFT_REPLY_NO_INPUT;
    }
    const uint32_t photo_id = dft_get_u32(request->payload + DFT_RUN_PHOTO_ID_AT);
    if (photo_id != 0 && photo_id != s->photo.photo_id) {
        return DFT_REPLY_NO_PHOTO;
    }
    if (~s->input.crc != dft_get_u32(request->payload + DFT_RUN_INPUT_CRC_AT)) {
        dft_input_drop(&s->input);
        return DFT_REPLY_BAD_CRC;
    }
    s->run = (dft_due_run){true, request->seq, run_id, image_id, photo_id};
    return DFT_REPLY_RUNNING;
}

static void answer_run(dft_session *s, const dft_request *request, dft_reply *reply) {
    const uint32_t run_id = dft_get_u32(request->payload + DFT_RUN_RUN_ID_AT);
    const uint32_t image_id = dft_get_u32(request->payload + DFT_RUN_IMAGE_ID_AT);
    if (s->kept.valid && s->kept.run_id == run_id && s->kept.image_id == image_id) {
        reply_kept(s, reply);
    } else {
        reply_run(reply, run_id, accept_run(s, request, run_id, image_id));
    }
}

static void answer_stats(dft_session *s, const dft_request *request, dft_reply *reply) {
    (void)request;
    const dft_stack stack = s->board->stack();
    uint8_t *p = begin_reply(reply, DFT_MSG_STATS_REPLY, DFT_STATS_REPLY_BYTES);
    dft_put_u32(p + DFT_STATS_REPLY_STACK_PEAK_BYTES_AT, dft_stack_peak_bytes(stack));
    dft_put_u32(p + DFT_STATS_REPLY_STACK_BYTES_AT, dft_stack_bytes(stack));
    dft_put_u32(p + DFT_STATS_REPLY_ARENA_BYTES_AT, s->arena_bytes);
    dft_put_u32(p + DFT_STATS_REPLY_FRAMES_OK_AT, s->frames_ok);
    dft_put_u32(p + DFT_STATS_REPLY_FRAMES_BAD_AT, s->frames_bad);
    dft_put_u32(p + DFT_STATS_REPLY_RUNS_AT, s->runs);
}

static void answer_op_ticks(dft_session *s, const dft_request *request, dft_reply *reply) {
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

static void answer_halt(dft_session *s, const dft_request *request, dft_reply *reply) {
    (void)request;
    const bool can = (s->board->caps() & DFT_CAP_HALT) != 0u;
    uint8_t *p = begin_reply(reply, DFT_MSG_HALT_REPLY, DFT_HALT_REPLY_BYTES);
    p[DFT_HALT_REPLY_STATUS_AT] = can ? DFT_REPLY_OK : DFT_REPLY_NOT_SUPPORTED;
    reply->then_halt = can;
}

/* The line changes once the reply has left (app.c); a rate that the board cannot make changes nothing. */
static void answer_set_baud(dft_session *s, const dft_request *request, dft_reply *reply) {
    const uint32_t near = s->board->baud_near(dft_get_u32(request->payload + DFT_SET_BAUD_BAUD_AT));
    uint8_t *p = begin_reply(reply, DFT_MSG_SET_BAUD_REPLY, DFT_SET_BAUD_REPLY_BYTES);
    p[DFT_SET_BAUD_REPLY_STATUS_AT] = (uint8_t)(near == 0u ? DFT_REPLY_NOT_SUPPORTED : DFT_REPLY_OK);
    dft_put_u32(p + DFT_SET_BAUD_REPLY_BAUD_AT, near);
    reply->then_baud = near;
}

static void answer_fault(dft_session *s, const dft_request *request, dft_reply *reply) {
    (void)request;
    dft_fault record;
    const bool found = s->board->fault(&record);
    uint8_t *p = begin_reply(reply, DFT_MSG_FAULT_REPLY, DFT_FAULT_REPLY_BYTES);
    p[DFT_FAULT_REPLY_STATUS_AT] = (uint8_t)(found ? DFT_REPLY_OK : DFT_REPLY_NO_INPUT);
    if (!found) {
        return;
    }
    dft_put_u32(p + DFT_FAULT_REPLY_KIND_AT, record.kind);
    dft_put_u32(p + DFT_FAULT_REPLY_PC_AT, record.pc);
    dft_put_u32(p + DFT_FAULT_REPLY_LR_AT, record.lr);
    dft_put_u32(p + DFT_FAULT_REPLY_PSR_AT, record.psr);
    dft_put_u32(p + DFT_FAULT_REPLY_CFSR_AT, record.cfsr);
    dft_put_u32(p + DFT_FAULT_REPLY_HFSR_AT, record.hfsr);
    dft_put_u32(p + DFT_FAULT_REPLY_MMFAR_AT, record.mmfar);
    dft_put_u32(p + DFT_FAULT_REPLY_BFAR_AT, record.bfar);
    dft_put_u32(p + DFT_FAULT_REPLY_SP_AT, record.sp);
    dft_put_u32(p + DFT_FAULT_REPLY_BOOT_ID_AT, record.boot_id);
}

/* A test may use the engine: not while a run does, nor inside one, and what was received is gone. */
static void answer_selftest(dft_session *s, const dft_request *request, dft_reply *reply) {
    const uint32_t index = dft_get_u16(request->payload + DFT_SELFTEST_INDEX_AT);
    if (s->run.due || s->test.due) {
        refuse(request, reply, DFT_REPLY_BUSY);
    } else if (index >= dft_selftest_n(s->board, s->engine)) {
        refuse(request, reply, DFT_REPLY_BAD_OFFSET);
    } else {
        dft_input_drop(&s->input);
        s->test = (dft_due_test){true, request->seq, index};
        reply->type = DFT_NO_REPLY;
    }
}

/* Asked twice, a photo is begun once: its evidence may have grown in between. While a run adds to the old one it stays. */
static void answer_photo(dft_session *s, const dft_request *request, dft_reply *reply) {
    const uint8_t *r = request->payload;
    const uint32_t photo_id = dft_get_u32(r + DFT_PHOTO_PHOTO_ID_AT);
    uint8_t status = DFT_REPLY_OK;
    if (dft_get_u32(r + DFT_PHOTO_SESSION_AT) != s->id) {
        status = DFT_REPLY_OTHER_SESSION;
    } else if (photo_id == 0 || s->run.due) {
        status = photo_id == 0 ? DFT_REPLY_NO_PHOTO : DFT_REPLY_BUSY;
    } else if (photo_id != s->photo.photo_id) {
        const int32_t evidence = (int32_t)dft_get_u32(r + DFT_PHOTO_EVIDENCE_AT);
        dft_verdict_begin(&s->photo, photo_id, dft_get_u16(r + DFT_PHOTO_TILES_AT), dft_get_u16(r + DFT_PHOTO_SEEN_AT),
                          evidence);
    }
    uint8_t *p = begin_reply(reply, DFT_MSG_PHOTO_REPLY, DFT_PHOTO_REPLY_BYTES);
    dft_put_u32(p + DFT_PHOTO_REPLY_PHOTO_ID_AT, photo_id);
    p[DFT_PHOTO_REPLY_STATUS_AT] = status;
}

/* Requests whose fields have one size: its handler, and that size. Others check their length themselves. */
typedef struct handler {
    uint8_t type;
    uint32_t n;
    void (*answer)(dft_session *s, const dft_request *request, dft_reply *reply);
} handler;

#define ANY_LENGTH UINT32_MAX

static const handler handlers[] = {
    {DFT_MSG_HELLO, DFT_HELLO_BYTES, answer_hello},
    {DFT_MSG_INPUT, ANY_LENGTH, answer_input},
    {DFT_MSG_RUN, DFT_RUN_BYTES, answer_run},
    {DFT_MSG_STATS, DFT_STATS_BYTES, answer_stats},
    {DFT_MSG_OP_TICKS, DFT_OP_TICKS_BYTES, answer_op_ticks},
    {DFT_MSG_HALT, DFT_HALT_BYTES, answer_halt},
    {DFT_MSG_SET_BAUD, DFT_SET_BAUD_BYTES, answer_set_baud},
    {DFT_MSG_FAULT, DFT_FAULT_BYTES, answer_fault},
    {DFT_MSG_SELFTEST, DFT_SELFTEST_BYTES, answer_selftest},
    {DFT_MSG_PHOTO, DFT_PHOTO_BYTES, answer_photo},
};

void dft_session_answer(dft_session *s, const dft_request *request, dft_reply *reply) {
    for (uint32_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        const handler *h = &handlers[i];
        if (h->type != request->type) {
            continue;
        }
        if (h->n != ANY_LENGTH && h->n != request->n) {
            refuse(request, reply, DFT_REPLY_BAD_LENGTH);
        } else {
            h->answer(s, request, reply);
        }
        return;
    }
    refuse(request, reply, DFT_REPLY_UNKNOWN_TYPE);
}
