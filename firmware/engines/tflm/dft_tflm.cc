/* TensorFlow Lite Micro behind dft_engine: the same link, the same board, the same bench as for the aot engine, so that
 * the two can be compared. The library is the user's (TFLM_ROOT, firmware/cmake/dft_tflm.cmake); which operators it is
 * asked for and how large its arena is says dft_tflm_model.h, generated from the bundle. The only C++ of the firmware. */
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <new>

#include "tensorflow/lite/micro/debug_log.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern "C" {
#include "dft/engine.h"
#include "dft/proofs.h"
}
#include "dft_tflm_model.h"

extern "C" const std::uint8_t dft_tflm_model[];

namespace {

using Resolver = tflite::MicroMutableOpResolver<DFT_TFLM_OPERATORS_N>;

/* Every operator of the model ends one event. A library built with TF_LITE_STRIP_ERROR_STRINGS has no events, and then
 * operators take no ticks. */
class OpEvents : public tflite::MicroProfilerInterface {
  public:
    std::uint32_t BeginEvent(const char *) override { return 0; }
    void EndEvent(std::uint32_t) override
    {
        if (hook != nullptr && next < DFT_TFLM_OPS_N) {
            hook(next);
        }
        next++;
    }
    dft_op_hook hook = nullptr;
    std::uint32_t next = 0;
};

/* Objects of TFLM live as long as the program. Built by open, not by constructors before main: nothing runs those. */
struct Storage {
    alignas(Resolver) unsigned char resolver[sizeof(Resolver)];
    alignas(tflite::MicroInterpreter) unsigned char interpreter[sizeof(tflite::MicroInterpreter)];
    alignas(OpEvents) unsigned char events[sizeof(OpEvents)];
};

Storage storage;
OpEvents *events;
tflite::MicroInterpreter *interpreter; /* null until open succeeded */

const std::uint8_t digest[] = DFT_TFLM_DIGEST;
const dft_region_need need = {DFT_TFLM_REGION, DFT_TFLM_ARENA_BYTES, DFT_TFLM_ALIGN};

/* Not strcmp: newlib's uses UADD8 and SEL, on which emulators disagree. */
bool same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

std::uint8_t *find(const dft_region *regions, std::uint32_t n)
{
    for (std::uint32_t i = 0; i < n; i++) {
        const dft_region &r = regions[i];
        if (same(r.name, need.name)) {
            const bool fits = r.bytes >= need.bytes && reinterpret_cast<std::uintptr_t>(r.base) % need.align == 0;
            return fits ? r.base : nullptr;
        }
    }
    return nullptr;
}

dft_status open(const dft_region *regions, std::uint32_t n, dft_tensor *in, dft_tensor *out)
{
    interpreter = nullptr;
    std::uint8_t *arena = find(regions, n);
    if (arena == nullptr) {
        return DFT_ERR_REGION;
    }
    const tflite::Model *model = tflite::GetModel(dft_tflm_model);
    auto *resolver = new (storage.resolver) Resolver();
    if (model->version() != TFLITE_SCHEMA_VERSION || !dft_tflm_add_operators(*resolver)) {
        return DFT_ERR_STATE;
    }
    events = new (storage.events) OpEvents();
    auto *made = new (storage.interpreter)
        tflite::MicroInterpreter(model, *resolver, arena, need.bytes, nullptr, events);
    if (made->AllocateTensors() != kTfLiteOk) {
        return DFT_ERR_REGION;
    }
    *in = {made->typed_input_tensor<std::int8_t>(0), static_cast<std::uint32_t>(made->input(0)->bytes)};
    *out = {made->typed_output_tensor<std::int8_t>(0), static_cast<std::uint32_t>(made->output(0)->bytes)};
    if (in->data == nullptr || out->data == nullptr) {
        return DFT_ERR_STATE;
    }
    interpreter = made;
    return DFT_OK;
}

dft_status invoke()
{
    if (interpreter == nullptr) {
        return DFT_ERR_STATE;
    }
    events->next = 0;
    return interpreter->Invoke() == kTfLiteOk ? DFT_OK : DFT_ERR_STATE;
}

std::uint32_t memory_used()
{
    return interpreter == nullptr ? 0 : static_cast<std::uint32_t>(interpreter->arena_used_bytes());
}

void set_hook(dft_op_hook hook)
{
    if (interpreter != nullptr) {
        events->hook = hook;
    }
}

} // namespace

extern "C" const dft_proofs dft_the_proofs = {nullptr, 0, nullptr, 0};

extern "C" const dft_engine dft_the_engine = {
    "tflm", digest, &need, 1, DFT_TFLM_OPS_N, open, invoke, memory_used, set_hook, nullptr, nullptr,
};

/* What the library asks of its platform. Its own versions need printf, which needs a heap. */
extern "C" void DebugLog(const char *, va_list) {}
extern "C" int DebugVsnprintf(char *buffer, std::size_t n, const char *, va_list)
{
    if (n > 0) {
        buffer[0] = '\0';
    }
    return 0;
}

/* TFLM's checks end in one of these. newlib's would want signals, files and a heap: here it is a fault, which the board
 * reports. Destructors that delete are in vtables alone: nothing is ever destroyed. */
extern "C" [[noreturn]] void abort()
{
    for (;;) {
        __builtin_trap();
    }
}

extern "C" [[noreturn]] void __assert_func(const char *, int, const char *, const char *) { abort(); }

void operator delete(void *) noexcept { abort(); }
void operator delete(void *, std::size_t) noexcept { abort(); }
