/* The image that tools/counts runs in QEMU: reads inputs from a file, runs the engine on each, writes its outputs.
 * It has no link and no board beside it. The plugin (plugin.c) sees the stores to `__marks` and leaves everything
 * out that lies in this file: what is counted begins with invoke's first instruction and ends with its return. */
#include <stddef.h>

#include "dft/engine.h"
#include "semihosting.h"
#include "startup.h"

#define INPUTS "inputs.bin" /* per run: a word (1: with hook), the input */
#define OUTPUTS "outputs.bin"
#define FACTS "facts.bin" /* words: region bytes, stack bytes */

#define REGIONS_MAX 8u
#define GUARD_BYTES 64u
#define GUARD 0xC3u
#define DIRT 0x5Au /* what memory holds before every run: nothing may depend on it */
#define PAINT 0xDF7C0DE5u

/* Stores to __marks[i] say: operator i is done; or a run begins, or ends. plugin.c holds the same two numbers. */
#define MARK_BEGIN 0xFFFEu
#define MARK_END 0xFFFFu

#define EXIT_IO 4u
#define EXIT_OPEN 5u
#define EXIT_INVOKE 6u
#define EXIT_GUARD 7u
#define EXIT_MEMORY 8u
#define EXIT_FAULT 9u

extern volatile uint8_t __marks[];
extern uint8_t __pool_low[], __pool_high[];
extern uint32_t __engine_stack_low[], __engine_stack_high[];

int main(int argc, char **argv);
uint32_t on_engine_stack(dft_status (*call)(void), uint32_t *top);

static struct {
    dft_region regions[REGIONS_MAX];
    uint32_t regions_n;
    uint32_t region_bytes;
    uint32_t stack_bytes;
    uint8_t *pool;
    uint8_t *input;
    dft_tensor in;
    dft_tensor out;
} h;

_Noreturn void dft_on_fault(const cortex_m_frame *frame)
{
    (void)frame;
    semi_exit(EXIT_FAULT);
}

static void fill(uint8_t *to, uint8_t value, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        ((volatile uint8_t *)to)[i] = value;
    }
}

static uint8_t *take(uint32_t bytes, uint32_t align)
{
    uintptr_t at = ((uintptr_t)h.pool + align - 1u) / align * align;
    if (bytes > (uintptr_t)__pool_high - at) {
        semi_exit(EXIT_MEMORY);
    }
    h.pool = (uint8_t *)(at + bytes);
    return (uint8_t *)at;
}

/* Every region that the engine needs, a guard before and behind each. */
static void lend(void)
{
    if (dft_the_engine.needs_n > REGIONS_MAX) {
        semi_exit(EXIT_MEMORY);
    }
    h.pool = __pool_low;
    fill(take(GUARD_BYTES, 1), GUARD, GUARD_BYTES);
    for (uint32_t i = 0; i < dft_the_engine.needs_n; i++) {
        const dft_region_need *need = &dft_the_engine.needs[i];
        h.regions[i] = (dft_region){need->name, take(need->bytes, need->align), need->bytes};
        h.region_bytes += need->bytes;
        fill(take(GUARD_BYTES, 1), GUARD, GUARD_BYTES);
    }
    h.regions_n = dft_the_engine.needs_n;
}

static void check_guards(void)
{
    for (uint32_t i = 0; i < h.regions_n; i++) {
        for (uint32_t k = 0; k < GUARD_BYTES; k++) {
            if (h.regions[i].base[h.regions[i].bytes + k] != GUARD || __pool_low[k] != GUARD) {
                semi_exit(EXIT_GUARD);
            }
        }
    }
}

static void done(uint32_t op) { __marks[op] = 1; }

/* For engines that take their input row by row. */
static void read_row(void *context, uint32_t row, int8_t *to, uint32_t bytes)
{
    const uint8_t *from = (const uint8_t *)context + row * bytes;
    for (uint32_t i = 0; i < bytes; i++) {
        ((volatile int8_t *)to)[i] = (int8_t)from[i];
    }
}

/* Calls on a stack of its own, which was painted: what lost its paint was used by the engine alone. */
__attribute__((naked)) uint32_t on_engine_stack(dft_status (*call)(void), uint32_t *top)
{
    (void)call;
    (void)top;
    __asm volatile("push {r4, lr}\n"
                   "mov r4, sp\n"
                   "mov sp, r1\n"
                   "blx r0\n"
                   "mov sp, r4\n"
                   "pop {r4, pc}\n");
}

static void measure_stack(void)
{
    const volatile uint32_t *word = __engine_stack_low;
    while (word < __engine_stack_high && *word == PAINT) {
        word++;
    }
    h.stack_bytes = (uint32_t)((uintptr_t)__engine_stack_high - (uintptr_t)word);
}

static void run(int hooked)
{
    for (uint32_t i = 0; i < h.regions_n; i++) {
        fill(h.regions[i].base, DIRT, h.regions[i].bytes);
    }
    for (uint32_t i = 0; h.in.data != NULL && i < h.in.bytes; i++) {
        ((volatile int8_t *)h.in.data)[i] = (int8_t)h.input[i];
    }
    dft_the_engine.set_hook(hooked ? done : NULL);
    __marks[MARK_BEGIN] = 1;
    uint32_t status = on_engine_stack(dft_the_engine.invoke, __engine_stack_high);
    __marks[MARK_END] = 1;
    if (status != DFT_OK) {
        semi_exit(EXIT_INVOKE);
    }
    check_guards();
}

/* False at the end of the file. A regular file gives all it has at once. */
static int next_input(int32_t file, uint32_t *hooked)
{
    if (semi_read(file, (uint8_t *)hooked, sizeof *hooked) != sizeof *hooked) {
        return 0;
    }
    return semi_read(file, h.input, h.in.bytes) == h.in.bytes;
}

static void put(int32_t file, const void *bytes, uint32_t n)
{
    if (semi_write(file, bytes, n) != n) {
        semi_exit(EXIT_IO);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    lend();
    if (dft_the_engine.open(h.regions, h.regions_n, &h.in, &h.out) != DFT_OK) {
        semi_exit(EXIT_OPEN);
    }
    h.input = take(h.in.bytes, 4);
    if (dft_the_engine.set_reader != NULL) {
        dft_the_engine.set_reader(read_row, h.input);
    }
    for (uint32_t *word = __engine_stack_low; word < __engine_stack_high; word++) {
        *(volatile uint32_t *)word = PAINT;
    }
    int32_t inputs = semi_open_read(INPUTS);
    int32_t outputs = semi_open_write(OUTPUTS);
    int32_t facts = semi_open_write(FACTS);
    if (inputs < 0 || outputs < 0 || facts < 0) {
        semi_exit(EXIT_IO);
    }
    uint32_t hooked;
    while (next_input(inputs, &hooked)) {
        run(hooked != 0);
        put(outputs, h.out.data, h.out.bytes);
    }
    measure_stack();
    put(facts, &h.region_bytes, sizeof h.region_bytes);
    put(facts, &h.stack_bytes, sizeof h.stack_bytes);
    semi_exit(0);
}
