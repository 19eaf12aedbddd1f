/* USART3 at PD8/PD9, which the ST-LINK carries to USB. The 16-byte FIFO is emptied by an interrupt a byte or a few,
 * whatever the processor is doing, into a ring that only the reader takes from: nothing here is ever masked.
 *
 * Not DMA: its buffer would have to be kept out of the cache, it needs an idle-line interrupt or polling to notice the
 * end of a burst, and emulators model neither well. Not the FIFO's threshold interrupt: the last bytes of a burst would
 * need a timeout. One interrupt costs some forty instructions; at 3 Mbaud a byte lasts 1600 cycles. */
#include "uart.h"

#include <stdatomic.h>

#include "clock.h"
#include "registers.h"

#define PIN_BITS_8_9(bits) ((bits) << 16 | (bits) << 18)
#define MODE_ALTERNATE 2u
#define SPEED_HIGH 2u
#define FUNCTION_USART3 7u

#define BRR_MIN 16u /* oversampling by 16 */
#define BRR_MAX 0xFFFFu
#define OFF_BY_MAX 50u /* one part in so many */

#define FIFO_BYTES 16u
#define PROOF_POLLS 1000u

/* One writer (the interrupt, or, without one, whoever polls) and one reader. Counts, never wrapped to the size. */
static struct {
    uint8_t bytes[UART_RING_BYTES];
    volatile uint32_t head; /* bytes put in */
    volatile uint32_t tail; /* bytes taken out */
    uart_losses lost;
} ring;

static volatile bool served;
static bool interrupts;

static void connect_pins(void) {
    RCC_AHB4ENR |= RCC_AHB4ENR_GPIODEN;
    (void)RCC_AHB4ENR; /* see clock.c */
    GPIOD_AFRH = (GPIOD_AFRH & ~0xFFu) | FUNCTION_USART3 | FUNCTION_USART3 << 4;
    GPIOD_OSPEEDR = (GPIOD_OSPEEDR & ~PIN_BITS_8_9(3u)) | PIN_BITS_8_9(SPEED_HIGH);
    GPIOD_PUPDR = (GPIOD_PUPDR & ~(3u << 18)) | 1u << 18; /* RX idles high when nothing is connected */
    GPIOD_MODER = (GPIOD_MODER & ~PIN_BITS_8_9(3u)) | PIN_BITS_8_9(MODE_ALTERNATE);
}

/* FIFO to ring. A byte for which there is no room is lost; the frame's CRC notices and the host asks again. */
static void drain(void) {
    uint32_t isr = USART3_ISR;
    for (uint32_t n = 0; (isr & USART3_ISR_RXFNE) != 0u && n < 2u * FIFO_BYTES; n++) {
        const uint8_t byte = (uint8_t)USART3_RDR;
        const uint32_t head = ring.head;
        if (head - ring.tail < UART_RING_BYTES) {
            ring.bytes[head % UART_RING_BYTES] = byte;
            atomic_signal_fence(memory_order_release);
            ring.head = head + 1u;
        } else {
            ring.lost.full++;
        }
        isr = USART3_ISR;
    }
    if ((isr & USART3_ISR_ERRORS) != 0u) {
        USART3_ICR = USART3_ISR_ERRORS;
        ring.lost.errors++;
    }
}

void uart_interrupt(void) {
    served = true;
    drain();
    __asm volatile("dsb" ::: "memory"); /* the flags are down before the interrupt could be taken again */
}

/* Asks for the interrupt by software and waits for the handler: only what was seen to run is relied on. */
static bool prove_interrupts(void) {
    NVIC_ISER1 = NVIC_USART3;
    NVIC_ISPR1 = NVIC_USART3;
    for (uint32_t polls = 0; polls < PROOF_POLLS && !served; polls++) {
    }
    return served;
}

static void enable(uint32_t brr) {
    const uint32_t on = USART3_CR1_FIFOEN | USART3_CR1_TE | USART3_CR1_RE;
    USART3_CR1 = 0;
    USART3_BRR = brr;
    USART3_CR1 = on;
    USART3_CR1 = on | USART3_CR1_UE | (interrupts ? USART3_CR1_RXFNEIE : 0u);
}

static uint32_t divider(uint32_t clock_hz, uint32_t baud) { return (clock_hz + baud / 2u) / baud; }

bool uart_start(uint32_t clock_hz, uint32_t baud) {
    const uint32_t ready = USART3_ISR_TEACK | USART3_ISR_REACK;
    connect_pins();
    RCC_APB1LENR |= RCC_APB1LENR_USART3EN;
    (void)RCC_APB1LENR;
    USART3_CR1 = 0;
    USART3_CR2 = 0;
    USART3_CR3 = 0;
    interrupts = prove_interrupts();
    enable(divider(clock_hz, baud));
    return h743_wait(&USART3_ISR, ready, ready);
}

bool uart_interrupts(void) { return interrupts; }

uart_losses uart_lost(void) { return ring.lost; }

uint32_t uart_baud_near(uint32_t clock_hz, uint32_t wanted) {
    if (wanted == 0u || wanted > clock_hz / BRR_MIN) {
        return 0;
    }
    const uint32_t brr = divider(clock_hz, wanted);
    const uint32_t real = clock_hz / brr;
    const uint32_t off = real > wanted ? real - wanted : wanted - real;
    return brr > BRR_MAX || off > wanted / OFF_BY_MAX ? 0u : real;
}

bool uart_set_baud(uint32_t clock_hz, uint32_t wanted, uint32_t polls) {
    if (uart_baud_near(clock_hz, wanted) == 0u) {
        return false;
    }
    while ((USART3_ISR & USART3_ISR_TC) == 0u) {
        if (polls-- == 0u) {
            return false;
        }
    }
    enable(divider(clock_hz, wanted));
    return true;
}

uint32_t uart_received(void) {
    if (!interrupts) {
        drain();
    }
    return ring.head - ring.tail;
}

uint32_t uart_read(uint8_t *bytes, uint32_t n) {
    uint32_t got = 0;
    uint32_t tail = ring.tail;
    const uint32_t head = tail + uart_received();
    atomic_signal_fence(memory_order_acquire);
    while (got < n && tail != head) {
        bytes[got++] = ring.bytes[tail++ % UART_RING_BYTES];
    }
    atomic_signal_fence(memory_order_release); /* a place is given back after it was read */
    ring.tail = tail;
    return got;
}

bool uart_write(const uint8_t *bytes, uint32_t n, uint32_t polls) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t left = polls;
        while ((USART3_ISR & USART3_ISR_TXFNF) == 0u) {
            if (!interrupts) {
                drain();
            }
            if (left-- == 0u) {
                return false;
            }
        }
        USART3_TDR = bytes[i];
    }
    return true;
}
