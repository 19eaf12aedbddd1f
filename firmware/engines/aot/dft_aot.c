/* The common part of ahead-of-time engines: see dft_aot.h. Everything is refused at open, nothing at invoke. */
#include "dft_aot.h"

#include <stddef.h>

static struct {
    const dft_aot_model *model; /* NULL until open succeeded */
    int8_t *base[DFT_AOT_REGIONS_MAX];
    dft_op_hook hook;
    dft_row_reader reader;
    void *reader_context;
} aot;

/* Not strcmp: newlib's uses UADD8 and SEL, on which emulators disagree. */
static uint32_t same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static uint8_t *find(const dft_region_need *need, const dft_region *regions, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const dft_region *r = &regions[i];
        if (same(r->name, need->name)) {
            return r->bytes >= need->bytes && (uintptr_t)r->base % need->align == 0 ? r->base : NULL;
        }
    }
    return NULL;
}

dft_status dft_aot_open(const dft_aot_model *model, const dft_region *regions, uint32_t n, dft_tensor *in,
                        dft_tensor *out)
{
    aot.model = NULL;
    if (model->needs_n > DFT_AOT_REGIONS_MAX) {
        return DFT_ERR_REGION;
    }
    for (uint32_t i = 0; i < model->needs_n; i++) {
        uint8_t *base = find(&model->needs[i], regions, n);
        if (base == NULL) {
            return DFT_ERR_REGION;
        }
        aot.base[i] = (int8_t *)base;
    }
    in->data = model->in.region == DFT_NO_REGION ? NULL : aot.base[model->in.region] + model->in.offset;
    in->bytes = model->in.bytes;
    out->data = aot.base[model->out.region] + model->out.offset;
    out->bytes = model->out.bytes;
    aot.model = model;
    return DFT_OK;
}

dft_status dft_aot_invoke(void)
{
    if (aot.model == NULL || (aot.model->in.region == DFT_NO_REGION && aot.reader == NULL)) {
        return DFT_ERR_STATE;
    }
    aot.model->run(aot.base);
    return DFT_OK;
}

uint32_t dft_aot_memory_used(void)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; aot.model != NULL && i < aot.model->needs_n; i++) {
        bytes += aot.model->needs[i].bytes;
    }
    return bytes;
}

void dft_aot_set_hook(dft_op_hook hook)
{
    aot.hook = hook;
}

dft_probe dft_aot_probe;

void dft_aot_set_probe(dft_probe probe)
{
    dft_aot_probe = probe;
}

void dft_aot_set_reader(dft_row_reader reader, void *context)
{
    aot.reader = reader;
    aot.reader_context = context;
}

void dft_aot_input_row(const void *params, const dft_event *event)
{
    const dft_input_rows *p = params;
    aot.reader(aot.reader_context, event->row, event->out[0], p->row_bytes);
}

void dft_aot_done(uint32_t op)
{
    if (aot.hook != NULL) {
        aot.hook(op);
    }
}
