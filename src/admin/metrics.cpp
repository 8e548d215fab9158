#include "admin/metrics.hpp"

#include <chrono>
#include <iterator>
#include <prometheus/text_serializer.h>

namespace holdfast::admin {
namespace {

// Of RPC durations, in seconds: from a quick Release to a long wait.
const prometheus::Histogram::BucketBoundaries kBounds{
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30};

}  // namespace

Metrics::Metrics(std::span<const std::string_view> methods, std::span<const std::string_view> codes)
    : finished_(prometheus::BuildCounter()
                    .Name("holdfast_rpcs_total")
                    .Help("RPCs that ended, by method and gRPC status code")
                    .Register(registry_)),
      codes_(codes.begin(), codes.end()) {
    auto& durations = prometheus::BuildHistogram()
                          .Name("holdfast_rpc_duration_seconds")
                          .Help("from the arrival of a request to its answer, waiting included")
                          .Register(registry_);
    for (const std::string_view name : methods) {
        auto method = std::make_unique<Method>();
        method->name = name;
        method->duration = &durations.Add({{"method", method->name}}, kBounds);
        methods_.push_back(std::move(method));
    }
}

void Metrics::rpc_finished(std::size_t method, std::size_t code, core::Duration took) {
    Method& called = *methods_[method];
    called.duration->Observe(std::chrono::duration<double>(took).count());
    prometheus::Counter* counter = called.by_code[code].load(std::memory_order_acquire);
    if (counter == nullptr) {
        // Two threads may come here at once: Add gives both the same counter.
        counter = &finished_.Add({{"method", called.name}, {"code", std::string{codes_[code]}}});
        called.by_code[code].store(counter, std::memory_order_release);
    }
    counter->Increment();
}

std::string Metrics::text(const std::function<void(Scrape&)>& read) const {
    Scrape scrape;
    read(scrape);
    scrape_process(scrape);
    auto families = registry_.Collect();
    auto more = scrape.take();
    std::move(more.begin(), more.end(), std::back_inserter(families));
    return prometheus::TextSerializer{}.Serialize(families);
}

}  // namespace holdfast::admin
