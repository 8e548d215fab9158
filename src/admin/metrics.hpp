#pragma once

// What the daemon counts for Prometheus, and how /metrics prints it.
//
// RPCs are counted here as they end, from any thread. All else is read from the parts that own it
// when somebody scrapes, so that nothing is shared on their way.

#include "admin/scrape.hpp"
#include "core/clock.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::admin {

class Metrics {
public:
    // `methods`: names of the RPCs, `codes`: of the gRPC status codes; both counted by index.
    Metrics(std::span<const std::string_view> methods, std::span<const std::string_view> codes);

    void rpc_finished(std::size_t method, std::size_t code, core::Duration took);

    // The exposition format of Prometheus, with what `read` adds.
    std::string text(const std::function<void(Scrape&)>& read) const;
    static constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

private:
    static constexpr std::size_t kCodes = 17;

    struct Method {
        std::string name;
        prometheus::Histogram* duration;
        std::array<std::atomic<prometheus::Counter*>, kCodes> by_code{};  // made when first seen
    };

    prometheus::Registry registry_;
    prometheus::Family<prometheus::Counter>& finished_;
    std::vector<std::string_view> codes_;
    std::vector<std::unique_ptr<Method>> methods_;
};

}  // namespace holdfast::admin
