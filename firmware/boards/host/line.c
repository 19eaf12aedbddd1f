/* See line.h. With a rate, bytes that find no room in the ring are lost, as on the chip; without one, they wait. */
#define _GNU_SOURCE
#include "line.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define WRITE_DEADLINE_MS 2000
#define BITS_PER_BYTE 10u
#define NS_PER_S 1000000000u
/* A thread that woke late has not made the line slower: so much of lost time is caught up with. */
#define LATE_NS 20000000u
#define READ_BYTES 64u
#define FIFO_BYTES 16u /* of a transmitter that need not be waited for */
#define SPEED_UNSET 38400u /* a new pseudo terminal's, which no client has chosen */

static host_line_state *line;
static const host_faults *asked;
static void (*restart_board)(void);

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    uint8_t bytes[HOST_RING_BYTES];
    atomic_uint head; /* counts bytes put in */
    atomic_uint tail; /* counts bytes taken out */
    atomic_bool gone;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static atomic_uint rate;
static host_mixer mixer_in;
static host_mixer mixer_out;

static uint64_t now_ns(void) {
    struct timespec t = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void sleep_ns(uint64_t ns) {
    const struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    (void)nanosleep(&t, NULL); /* woken early by a signal: the next byte's time makes up for it */
}

/* Lets the time pass that n bytes take on the wire, all but `early_bytes` of them; *free_ns: when it is free again. */
static void pass_time(uint64_t *free_ns, uint32_t n, uint32_t early_bytes) {
    const uint32_t baud = atomic_load(&rate);
    if (baud == 0u) {
        return;
    }
    const uint64_t byte_ns = (uint64_t)NS_PER_S * BITS_PER_BYTE / baud, now = now_ns();
    if (*free_ns + LATE_NS < now) {
        *free_ns = now;
    }
    *free_ns += n * byte_ns;
    if (*free_ns > now + early_bytes * byte_ns) {
        sleep_ns(*free_ns - now - early_bytes * byte_ns);
    }
}

static uint32_t speed_of(const struct termios *mode) {
    static const struct {
        speed_t code;
        uint32_t baud;
    } speeds[] = {
        {B115200, 115200},   {B230400, 230400},   {B460800, 460800},   {B500000, 500000},   {B576000, 576000},
        {B921600, 921600},   {B1000000, 1000000}, {B1152000, 1152000}, {B1500000, 1500000}, {B2000000, 2000000},
        {B2500000, 2500000}, {B3000000, 3000000}, {B3500000, 3500000}, {B4000000, 4000000},
    };
    const speed_t code = cfgetospeed(mode);
    for (uint32_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++) {
        if (speeds[i].code == code) {
            return speeds[i].baud;
        }
    }
    return SPEED_UNSET;
}

/* Both sides must have the same rate, and the line must be able to carry it. */
static bool line_is_readable(void) {
    const uint32_t baud = atomic_load(&rate);
    struct termios mode;
    if (baud == 0u || tcgetattr(line->slave, &mode) != 0) {
        return true;
    }
    const uint32_t theirs = speed_of(&mode);
    return (theirs == SPEED_UNSET || theirs == baud) && (asked->baud_max == 0u || baud <= asked->baud_max);
}

static void put(uint8_t byte) {
    while (atomic_load(&ring.head) - atomic_load(&ring.tail) >= HOST_RING_BYTES) {
        if (atomic_load(&rate) != 0u) {
            return;
        }
        sleep_ns(100000);
    }
    const unsigned head = atomic_load(&ring.head);
    ring.bytes[head % HOST_RING_BYTES] = byte;
    atomic_store(&ring.head, head + 1u);
}

static void wake(void) {
    (void)pthread_mutex_lock(&ring.lock);
    (void)pthread_cond_signal(&ring.came);
    (void)pthread_mutex_unlock(&ring.lock);
}

static void receive(const uint8_t *bytes, uint32_t n) {
    const bool readable = line_is_readable();
    for (uint32_t i = 0; i < n; i++) {
        uint8_t byte = readable ? bytes[i] : (uint8_t)(bytes[i] * 181u + 37u);
        line->received++;
        if (host_faults_pass(asked, &line->in, &byte)) {
            host_mixer_put(&mixer_in, asked, &line->in, byte, put);
        }
        if (host_faults_reset_due(asked, &line->in, line->received, byte)) {
            restart_board();
        }
    }
    wake();
}

static void *listen_to_pty(void *unused) {
    uint64_t free_ns = 0;
    (void)unused;
    for (;;) {
        uint8_t bytes[READ_BYTES];
        struct pollfd p = {.fd = line->pty, .events = POLLIN, .revents = 0};
        const int ready = poll(&p, 1, -1);
        const ssize_t got = ready > 0 && (p.revents & POLLIN) != 0 ? read(line->pty, bytes, sizeof bytes) : -1;
        if (got > 0) {
            pass_time(&free_ns, (uint32_t)got, 0);
            receive(bytes, (uint32_t)got);
        } else if (errno != EINTR && errno != EAGAIN) {
            atomic_store(&ring.gone, true);
            wake();
            return NULL;
        }
    }
}

dft_status host_line_start(host_line_state *state, const host_faults *faults, void (*restart)(void)) {
    pthread_t thread;
    line = state;
    asked = faults;
    restart_board = restart;
    atomic_store(&rate, faults->baud);
    return pthread_create(&thread, NULL, listen_to_pty, NULL) == 0 ? DFT_OK : DFT_ERR_IO;
}

uint32_t host_line_waiting(void) { return atomic_load(&ring.head) - atomic_load(&ring.tail); }

/* Until something has come, the pseudo terminal is gone, or the deadline has passed. */
static void wait_for_bytes(uint32_t deadline_ms) {
    struct timespec end;
    if (clock_gettime(CLOCK_REALTIME, &end) != 0) {
        return;
    }
    end.tv_sec += (time_t)(deadline_ms / 1000u);
    end.tv_nsec += (long)(deadline_ms % 1000u) * 1000000;
    if (end.tv_nsec >= (long)NS_PER_S) {
        end.tv_sec++;
        end.tv_nsec -= (long)NS_PER_S;
    }
    (void)pthread_mutex_lock(&ring.lock);
    int status = 0;
    while (status == 0 && host_line_waiting() == 0u && !atomic_load(&ring.gone)) {
        status = pthread_cond_timedwait(&ring.came, &ring.lock, &end);
    }
    (void)pthread_mutex_unlock(&ring.lock);
}

int32_t host_line_read(uint8_t *bytes, uint32_t n, uint32_t deadline_ms) {
    if (host_line_waiting() == 0u && deadline_ms > 0u) {
        wait_for_bytes(deadline_ms);
    }
    uint32_t got = 0;
    unsigned tail = atomic_load(&ring.tail);
    while (got < n && tail != atomic_load(&ring.head)) {
        bytes[got++] = ring.bytes[tail++ % HOST_RING_BYTES];
    }
    atomic_store(&ring.tail, tail);
    return got == 0u && atomic_load(&ring.gone) ? -1 : (int32_t)got;
}

static dft_status written; /* of the bytes since host_line_write began */

static void send_byte(uint8_t byte) {
    while (written == DFT_OK && write(line->pty, &byte, 1) != 1) {
        struct pollfd p = {.fd = line->pty, .events = POLLOUT, .revents = 0};
        if (errno != EAGAIN && errno != EINTR) {
            written = DFT_ERR_IO;
        } else if (poll(&p, 1, WRITE_DEADLINE_MS) == 0) {
            written = DFT_ERR_TIMEOUT;
        }
    }
}

dft_status host_line_write(const uint8_t *bytes, uint32_t n) {
    static uint64_t free_ns;
    const bool readable = line_is_readable();
    written = DFT_OK;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t byte = readable ? bytes[i] : (uint8_t)(bytes[i] * 181u + 37u);
        if (host_faults_pass(asked, &line->out, &byte)) {
            host_mixer_put(&mixer_out, asked, &line->out, byte, send_byte);
        }
    }
    pass_time(&free_ns, n, FIFO_BYTES);
    return written;
}

uint32_t host_line_baud(void) { return atomic_load(&rate); }

void host_line_set_baud(uint32_t baud) { atomic_store(&rate, baud); }
