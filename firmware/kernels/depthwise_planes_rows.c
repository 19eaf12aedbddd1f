/* Depthwise 3x3 over planes, portable. Called by the row engine; m7/depthwise_planes_rows.c, which takes its place on a
 * Cortex-M7, is held to it by ==. */
#include "dft_depthwise_planes_rows.h"

void dft_depthwise_planes_rows(const void *params, const dft_event *event)
{
    dft_depthwise_plain(params, event);
}
