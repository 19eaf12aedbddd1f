/* The host board: this process on a pseudo terminal. The device's path is printed as `pty: PATH`.
 * Its ticks are nanoseconds of a computer that also does other things: it claims nothing for them.
 * A reset is real: the process executes itself again, so every static starts afresh; only the pty survives. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "dft/board.h"
#include "dft_board_config.h"
#include "dft_protocol.h"
#include "faults.h"
#include "line.h"

#define DRAIN_MS 200
#define USAGE_EXIT 2
#define HOST_BAUD_MAX 12000000u
#define ARGUMENTS_MAX 64

static host_faults faults;
static host_line_state state;
static char **arguments;
static int arguments_n;

static void stop(int signal_number) {
    (void)signal_number;
    _exit(0);
}

static _Noreturn void usage(const char *what) {
    (void)fprintf(stderr, "host board: %s\nusage: firmware.elf [--seed S] [--drop P] [--flip P] [--stall MS[:P]] "
                          "[--reset-at N[,N...]] [--lose P] [--damage P] [--duplicate P] [--reorder P] [--reset P] [--baud N[:MAX]] [--slow US] [--parent PID] "
                          "[--verbose]\n", what);
    exit(USAGE_EXIT);
}

static int open_pty(void) {
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        return -1;
    }
    const char *path = ptsname(master);
    /* Held open for ever: a client that closes the terminal must not take it away from the next one. */
    const int slave = path == NULL ? -1 : open(path, O_RDWR | O_NOCTTY);
    struct termios mode;
    if (slave < 0 || tcgetattr(slave, &mode) != 0) {
        return -1;
    }
    cfmakeraw(&mode);
    if (tcsetattr(slave, TCSANOW, &mode) != 0 || fcntl(master, F_SETFL, O_NONBLOCK) != 0) {
        return -1;
    }
    state.slave = slave;
    (void)printf("pty: %s\n", path);
    return fflush(stdout) == 0 ? master : -1;
}

static dft_status resume(const char *text) {
    const int read = sscanf(text, "%d,%d,%" SCNu64 ",%" SCNu32 ",%" SCNu64 ",%" SCNu64, &state.pty, &state.slave,
                            &state.received, &state.boots, &state.in.state, &state.out.state);
    return read == 6 ? DFT_OK : DFT_ERR_IO;
}

static dft_status begin(void) {
    state.in = host_dice_seeded(faults.seed);
    state.out = host_dice_seeded(~faults.seed);
    state.pty = open_pty();
    return state.pty < 0 ? DFT_ERR_IO : DFT_OK;
}

/* Called by the line's thread: the other one ends in mid-air, as a processor does. */
static void restart(void) {
    char text[160];
    char *next[ARGUMENTS_MAX];
    int n = 0;
    if (arguments_n + 3 > ARGUMENTS_MAX) {
        usage("too many arguments");
    }
    while (n < arguments_n) {
        next[n] = arguments[n];
        n++;
    }
    (void)snprintf(text, sizeof text, "%d,%d,%" PRIu64 ",%" PRIu32 ",%" PRIu64 ",%" PRIu64, state.pty, state.slave,
                   state.received, state.boots + 1u, state.in.state, state.out.state);
    if (faults.verbose) {
        (void)fprintf(stderr, "host board: reset after %" PRIu64 " bytes\n", state.received);
    }
    next[n++] = (char *)"--resume";
    next[n++] = text;
    next[n] = NULL;
    (void)execv("/proc/self/exe", next);
    (void)execv(arguments[0], next); /* where /proc is not to be had */
    (void)fprintf(stderr, "host board: cannot restart: %s\n", strerror(errno));
    exit(1);
}

static dft_status host_init(int argc, char **argv) {
    const char *resumed = NULL;
    faults.seed = 1;
    arguments = argv;
    arguments_n = argc;
    for (int at = 1; at < argc;) {
        if (strcmp(argv[at], "--resume") == 0 && at + 1 < argc) {
            resumed = argv[at + 1];
            arguments_n = at; /* always last: see restart() */
            break;
        }
        const int took = host_faults_parse(&faults, argc, argv, at);
        if (took == 0) {
            usage(argv[at]);
        }
        at += took;
    }
    if (signal(SIGTERM, stop) == SIG_ERR || signal(SIGINT, stop) == SIG_ERR) {
        return DFT_ERR_IO;
    }
    const dft_status status = resumed != NULL ? resume(resumed) : begin();
    return status == DFT_OK ? host_line_start(&state, &faults, restart) : status;
}

static uint64_t host_ticks(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t host_caps(void) { return DFT_CAP_HALT; }

static uint32_t host_tick_hz(void) { return 0; }

/* Differs between processes as well as between resets of one. */
static uint32_t host_boot_id(void) { return (uint32_t)getpid() * 2654435761u + state.boots; }

static uint32_t host_reset_cause(void) { return state.boots == 0 ? DFT_RESET_POWER_ON : DFT_RESET_SOFTWARE; }

static dft_stack host_stack(void) { return (dft_stack){NULL, NULL}; }

/* What the client has not read yet would vanish with this process: give it a moment. */
static void drain(void) {
    int unread = 1;
    for (int ms = 0; unread > 0 && ms < DRAIN_MS; ms++) {
        if (ioctl(state.slave, FIONREAD, &unread) != 0) {
            return;
        }
        (void)poll(NULL, 0, 1);
    }
}

static void host_halt(dft_status why) {
    drain();
    if (why != DFT_OK) {
        (void)fprintf(stderr, "host board: stopped with status %d\n", (int)why);
    }
    exit(why == DFT_OK ? 0 : 1);
}

/* Without --baud the pseudo terminal has no rate, and any is as good. */
static uint32_t host_baud_near(uint32_t wanted) { return wanted > HOST_BAUD_MAX ? 0u : wanted; }

static dft_status host_set_baud(uint32_t wanted) {
    if (wanted == 0u || host_baud_near(wanted) == 0u) {
        return DFT_ERR_SIZE;
    }
    if (faults.baud != 0u) {
        host_line_set_baud(wanted);
    }
    return DFT_OK;
}

static void host_identity(uint8_t id[DFT_IDENTITY_BYTES]) { memset(id, 0, DFT_IDENTITY_BYTES); }

static bool host_fault(dft_fault *record) {
    memset(record, 0, sizeof *record);
    return false;
}

/* Called at least every 100 ms: also where a host that was killed is noticed. */
static void host_kick(void) {
    if (faults.parent != 0u && getppid() != (pid_t)faults.parent) {
        exit(0);
    }
    if (faults.kick_us > 0u) {
        const struct timespec t = {.tv_sec = 0, .tv_nsec = (long)(faults.kick_us % 1000000u) * 1000};
        (void)nanosleep(&t, NULL);
    }
}

const dft_board dft_the_board = {
    .name = DFT_BOARD_NAME,
    .init = host_init,
    .read = host_line_read,
    .write = host_line_write,
    .caps = host_caps,
    .ticks = host_ticks,
    .tick_hz = host_tick_hz,
    .boot_id = host_boot_id,
    .reset_cause = host_reset_cause,
    .stack = host_stack,
    .halt = host_halt,
    .baud = host_line_baud,
    .baud_near = host_baud_near,
    .set_baud = host_set_baud,
    .identity = host_identity,
    .fault = host_fault,
    .kick = host_kick,
    .received_bytes_max = HOST_RING_BYTES,
    .received_bytes = host_line_waiting,
};
