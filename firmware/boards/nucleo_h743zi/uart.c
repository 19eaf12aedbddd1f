/* USART3 at PD8/PD9, which the ST-LINK carries to USB. Polled, with a software ring behind the 16-byte FIFO: while
 * a reply is being sent, the next request may already come in. At 921600 baud the FIFO fills in 174 us; the longest
 * time between two polls is the decoding of one piece that nucleo_read() hands over. Registers: see registers.h. */
#include "uart.h"

#include "clock.h"
#include "registers.h"

/* The host waits for a reply before it goes on, so what comes in while one is being sent is a run or another short
 * request that it repeated: many of them fit. A power of two, for the counters wrap at 2^32. */
#define RING_BYTES 2048u
#define PIN_BITS_8_9(bits) ((bits) << 16 | (bits) << 18)
#define MODE_ALTERNATE 2u
#define SPEED_HIGH 2u
#define FUNCTION_USART3 7u

static struct {
    uint8_t bytes[RING_BYTES];
    uint32_t head; /* counts bytes put in, never wrapped to the size */
    uint32_t tail; /* counts bytes taken out */
} ring;

static void connect_pins(void) {
    RCC_AHB4ENR |= RCC_AHB4ENR_GPIODEN;
    (void)RCC_AHB4ENR; /* see clock.c */
    GPIOD_AFRH = (GPIOD_AFRH & ~0xFFu) | FUNCTION_USART3 | FUNCTION_USART3 << 4;
    GPIOD_OSPEEDR = (GPIOD_OSPEEDR & ~PIN_BITS_8_9(3u)) | PIN_BITS_8_9(SPEED_HIGH);
    GPIOD_PUPDR = (GPIOD_PUPDR & ~(3u << 18)) | 1u << 18; /* RX idles high when nothing is connected */
    GPIOD_MODER = (GPIOD_MODER & ~PIN_BITS_8_9(3u)) | PIN_BITS_8_9(MODE_ALTERNATE);
}

bool uart_start(uint32_t clock_hz, uint32_t baud) {
    const uint32_t ready = USART3_ISR_TEACK | USART3_ISR_REACK;
    connect_pins();
    RCC_APB1LENR |= RCC_APB1LENR_USART3EN;
    (void)RCC_APB1LENR;
    USART3_CR1 = 0;
    USART3_CR2 = 0;
    USART3_CR3 = 0;
    USART3_BRR = (clock_hz + baud / 2u) / baud;
    USART3_CR1 = USART3_CR1_FIFOEN | USART3_CR1_TE | USART3_CR1_RE;
    USART3_CR1 |= USART3_CR1_UE;
    return h743_wait(&USART3_ISR, ready, ready);
}

/* FIFO to ring. A byte for which there is no room is lost; the frame's CRC notices and the host asks again. */
static void poll(void) {
    uint32_t isr = USART3_ISR;
    while ((isr & USART3_ISR_RXFNE) != 0u && ring.head - ring.tail < RING_BYTES) {
        ring.bytes[ring.head % RING_BYTES] = (uint8_t)USART3_RDR;
        ring.head++;
        isr = USART3_ISR;
    }
    if ((isr & USART3_ISR_ERRORS) != 0u) {
        USART3_ICR = USART3_ISR_ERRORS;
    }
}

uint32_t uart_read(uint8_t *bytes, uint32_t n, uint32_t polls) {
    poll();
    while (ring.head == ring.tail && polls > 0) {
        poll();
        polls--;
    }
    uint32_t got = 0;
    while (got < n && ring.head != ring.tail) {
        bytes[got++] = ring.bytes[ring.tail % RING_BYTES];
        ring.tail++;
    }
    return got;
}

bool uart_write(const uint8_t *bytes, uint32_t n, uint32_t polls) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t left = polls;
        while ((USART3_ISR & USART3_ISR_TXFNF) == 0u) {
            poll();
            if (left-- == 0) {
                return false;
            }
        }
        USART3_TDR = bytes[i];
    }
    return true;
}
