/* Depthwise windows five or seven columns wide, portable. Called by the row engine; m7/depthwise_wide_rows.c, which takes
 * its place on a Cortex-M7, is held to it by ==. */
#include "dft_depthwise_wide_rows.h"

void dft_depthwise_wide_rows(const void *params, const dft_event *event)
{
    dft_depthwise_plain(params, event);
}
