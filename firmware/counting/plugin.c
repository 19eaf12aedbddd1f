/* A QEMU TCG plugin that counts instructions exactly, for tools/counts. Debian's QEMU 7.2 exports its plugin
 * interface but ships no header: what is used of it is declared here.
 *
 * The image says where it is by storing to marks[i] (see main.c): a run begins, operator i is done, a run ends.
 * Whatever was executed since the mark before belongs to operator i, so operators may interleave as they like.
 * Translation blocks that lie in [skip_low, skip_high) are never counted.
 *
 * Arguments: out=FILE marks=HEX skip_low=HEX skip_high=HEX profile=N. Lines written:
 *   run R TOTAL REST              instructions of run R, and those behind its last mark
 *   op R OP COUNT MARKS           instructions of operator OP in run R
 *   block VA N COUNT OP           in run `profile`: a block of N instructions, executed COUNT times for OP (-1: rest) */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum { CB_NO_REGS = 0, MEM_W = 2 };

typedef void (*translated_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_cb)(unsigned, void *);
typedef void (*memory_cb)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *);
typedef void (*exit_cb)(qemu_plugin_id_t, void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_cb);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed_cb, int flags, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, memory_cb, int flags, int rw, void *);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, exit_cb, void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv);

#define MARK_BEGIN 0xFFFEu
#define MARK_END 0xFFFFu
#define OPS_MAX 0x1000u
#define REST OPS_MAX

typedef struct block {
    struct block *next;
    uint64_t pending;               /* executions since the last mark */
    uint64_t *by_op;                /* [OPS_MAX + 1], in the profiled run; NULL until one is counted */
    uint32_t address;
    uint32_t instructions;
} block;

static struct {
    FILE *out;
    uint64_t marks, skip_low, skip_high, profile;
    block *blocks;
    block **dirty; /* those with pending executions; room for all blocks */
    size_t dirty_n, blocks_n, room;
    uint64_t run, since, total;
    uint64_t count[OPS_MAX + 1], times[OPS_MAX + 1];
    bool running;
} p;

static _Noreturn void fail(const char *why)
{
    fprintf(stderr, "counting plugin: %s\n", why);
    exit(99);
}

static void *zeroed(size_t n, size_t size)
{
    void *memory = calloc(n, size);
    if (memory == NULL) {
        fail("out of memory");
    }
    return memory;
}

static void executed(unsigned cpu, void *data)
{
    block *b = data;
    (void)cpu;
    if (!p.running) {
        return;
    }
    p.since += b->instructions;
    if (b->pending++ == 0) {
        p.dirty[p.dirty_n++] = b;
    }
}

/* What was executed since the last mark is operator `op`'s. */
static void settle(uint32_t op)
{
    for (size_t i = 0; i < p.dirty_n; i++) {
        block *b = p.dirty[i];
        if (p.run == p.profile) {
            if (b->by_op == NULL) {
                b->by_op = zeroed(OPS_MAX + 1, sizeof *b->by_op);
            }
            b->by_op[op] += b->pending;
        }
        b->pending = 0;
    }
    p.dirty_n = 0;
    p.count[op] += p.since;
    p.times[op]++;
    p.total += p.since;
    p.since = 0;
}

static void end_run(void)
{
    settle(REST);
    fprintf(p.out, "run %llu %llu %llu\n", (unsigned long long)p.run, (unsigned long long)p.total,
            (unsigned long long)p.count[REST]);
    for (uint32_t op = 0; op < OPS_MAX; op++) {
        if (p.times[op] != 0) {
            fprintf(p.out, "op %llu %u %llu %llu\n", (unsigned long long)p.run, op, (unsigned long long)p.count[op],
                    (unsigned long long)p.times[op]);
        }
    }
    p.running = false;
    p.run++;
}

static void begin_run(void)
{
    memset(p.count, 0, sizeof p.count);
    memset(p.times, 0, sizeof p.times);
    p.total = 0;
    p.since = 0;
    p.running = true;
}

static void stored(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)cpu;
    (void)info;
    (void)data;
    uint64_t mark = address - p.marks;
    if (address < p.marks || mark > MARK_END) {
        return;
    }
    if (mark == MARK_BEGIN) {
        begin_run();
    } else if (mark == MARK_END) {
        end_run();
    } else if (mark >= OPS_MAX) {
        fail("an operator's index is too large");
    } else if (p.running) {
        settle((uint32_t)mark);
    }
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    size_t n = qemu_plugin_tb_n_insns(tb);
    if (address >= p.skip_low && address < p.skip_high) {
        for (size_t i = 0; i < n; i++) {
            qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), stored, CB_NO_REGS, MEM_W, NULL);
        }
        return;
    }
    block *b = zeroed(1, sizeof *b);
    b->address = (uint32_t)address;
    b->instructions = (uint32_t)n;
    b->next = p.blocks;
    p.blocks = b;
    if (++p.blocks_n > p.room) {
        p.room = 2 * p.room + 1024;
        p.dirty = realloc(p.dirty, p.room * sizeof *p.dirty);
        if (p.dirty == NULL) {
            fail("out of memory");
        }
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, CB_NO_REGS, b);
}

static void finish(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    for (const block *b = p.blocks; b != NULL; b = b->next) {
        for (uint32_t op = 0; b->by_op != NULL && op <= OPS_MAX; op++) {
            if (b->by_op[op] != 0) {
                fprintf(p.out, "block %x %u %llu %d\n", b->address, b->instructions,
                        (unsigned long long)b->by_op[op], op == REST ? -1 : (int)op);
            }
        }
    }
    if (fclose(p.out) != 0) {
        fail("the counts could not be written");
    }
}

static const char *argument(int argc, char **argv, const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') {
            return argv[i] + n + 1;
        }
    }
    fail("an argument is missing");
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    p.marks = strtoull(argument(argc, argv, "marks"), NULL, 16);
    p.skip_low = strtoull(argument(argc, argv, "skip_low"), NULL, 16);
    p.skip_high = strtoull(argument(argc, argv, "skip_high"), NULL, 16);
    p.profile = strtoull(argument(argc, argv, "profile"), NULL, 10);
    p.out = fopen(argument(argc, argv, "out"), "w");
    if (p.out == NULL) {
        fail("the file of counts cannot be opened");
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finish, NULL);
    return 0;
}
