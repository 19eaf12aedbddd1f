/* See dft_run.h. Everything was checked when the data were generated: nothing can fail here. */
#include "dft_run.h"

#include "dft_aot.h"

static int8_t *at(int8_t *const *base, uint32_t place)
{
    return base[place >> 28] + (place & 0x0FFFFFFFu);
}

/* Not inline: few nets have such rings, and the lookup of every other row stays as short as it was. */
static __attribute__((noinline)) int8_t *phased_at(int8_t *const *base, const dft_rows_at *rows, uint32_t row)
{
    uint32_t slots = rows->place >> 24 & 31u, phase = rows->place >> 19 & 31u;
    return base[rows->place >> 29] + (rows->place & 0x7FFFFu) * 4u + (row + phase) % slots * rows->row_bytes;
}

static uint32_t is_fixed(const dft_rows_at *rows)
{
    return rows->slots == 0 && rows->row_bytes == 0;
}

static inline __attribute__((always_inline)) int8_t *row_at(int8_t *const *base, const dft_rows_at *rows, uint32_t row)
{
    if (rows->slots == 0) {
        return is_fixed(rows) ? at(base, rows->place) : phased_at(base, rows, row);
    }
    uint32_t slot = row < rows->slots ? row : row % rows->slots;
    return at(base, rows->place) + slot * rows->row_bytes;
}

/* The rows of the first operand under the windows of `rows` output rows from `row`. */
static void find_window(dft_event *event, const dft_lane *lane, int8_t *const *base)
{
    uint32_t n = lane->window + (event->rows - 1u) * lane->stride;
    int32_t y = (int32_t)(event->row * lane->stride) - lane->pad;
    for (uint32_t k = 0; k < n; k++, y += lane->dilation) {
        event->in[k] = y < 0 || y >= lane->in_h ? 0 : row_at(base, &lane->in, (uint32_t)y);
    }
}

static void find_operands(dft_event *event, const dft_lane *lane, int8_t *const *base)
{
    const dft_rows_at *operand = lane->params;
    uint32_t n = lane->counts >> 4;
    event->in2 = 0;
    for (uint32_t i = 0; i < DFT_MORE_MAX; i++) {
        event->more[i] = 0;
    }
    if (n == 0) {
        return;
    }
    event->in2 = row_at(base, --operand, event->row);
    for (uint32_t i = 0; i + 1u < n; i++) {
        event->more[i] = row_at(base, --operand, event->row);
    }
}

/* Rows of an event are complete when it ends, but for a tensor of one row that is collected over many events. */
static void show(const dft_lane *lane, const dft_event *event)
{
    uint32_t last = (lane->counts & 8u) != 0 ? event->row == 0 : event->row + event->rows == lane->rows_h;
    if (is_fixed(&lane->out)) {
        if (last != 0) {
            dft_aot_probe(lane->op, 0, event->out[0]);
        }
        return;
    }
    for (uint32_t i = 0; i < event->rows; i++) {
        dft_aot_probe(lane->op, event->row + i, event->out[i]);
    }
}

static void run_event(const dft_lane *lane, uint32_t row, uint32_t rows, int8_t *const *base)
{
    dft_event event;
    event.row = row;
    event.rows = rows;
    event.scratch = event.aux = lane->work == DFT_NOWHERE ? 0 : at(base, lane->work);
    find_window(&event, lane, base);
    find_operands(&event, lane, base);
    for (uint32_t i = 0; i < rows; i++) {
        event.out[i] = row_at(base, &lane->out, row + i);
    }
    lane->kernel(lane->params, &event);
    if (dft_aot_probe != 0) {
        show(lane, &event);
    }
    dft_aot_done(lane->op);
}

/* The event of a lane from row `row` on; returns the row behind it. */
static uint32_t run_next(const dft_lane *lane, uint32_t row, int8_t *const *base)
{
    uint32_t left = lane->rows_h - row, usual = lane->counts & 3u;
    uint32_t rows = left < usual ? left : usual;
    run_event(lane, (lane->counts & 8u) != 0 ? left - rows : row, rows, base);
    return row + rows;
}

/* The row that comes after `row` where rows leap. */
static uint32_t leapt(const dft_lane *lane, uint32_t row)
{
    uint32_t next = row + lane->dilation;
    return next < lane->rows_h ? next : row % lane->dilation + 1u;
}

static uint32_t lane_of(const dft_segment *segment, uint32_t event)
{
    uint32_t head = segment->head, at = event;
    if (event >= head + segment->repeated) {
        at = event - segment->repeated + segment->unit;
    } else if (event >= head) {
        at = head + (event - head) % segment->unit;
    }
    if (segment->lanes_n > DFT_LANES_HALF_BYTE) {
        return segment->script[at];
    }
    return (uint32_t)segment->script[at >> 1] >> ((at & 1u) * 4u) & 15u;
}

static void run_script(const dft_segment *segment, int8_t *const *base)
{
    uint16_t next[DFT_LANES_MAX] = {0};
    for (uint32_t e = 0; e < segment->events; e++) {
        uint32_t i = lane_of(segment, e);
        const dft_lane *lane = &segment->lanes[i];
        uint32_t row = next[i], behind = run_next(lane, row, base);
        next[i] = (uint16_t)((lane->counts & 4u) == 0 ? behind : leapt(lane, row));
    }
}

void dft_run_segment(const dft_segment *segment, int8_t *const *base)
{
    if (segment->script != 0) {
        run_script(segment, base);
        return;
    }
    for (const dft_lane *lane = segment->lanes; lane < segment->lanes + segment->lanes_n; lane++) {
        for (uint32_t done = 0; done < lane->rows_h;) {
            done = run_next(lane, done, base);
        }
    }
}
