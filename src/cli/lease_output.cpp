#include "cli/lease_output.hpp"

#include "cli/json.hpp"
#include "cli/text.hpp"

#include <boost/json/object.hpp>

#include <ostream>

namespace holdfast::cli {

void print_lease(Context& context, const Held& held) {
    const v1::Lease& lease = held.lease;
    const auto safe_for = held.safe_for();
    if (context.json()) {
        const boost::json::object json{
            {"lease_id", lease.lease_id()},
            {"name", lease.name()},
            {"mode", v1::Mode_Name(lease.mode())},
            {"fencing_token", lease.fencing_token()},
            {"ttl_ms", lease.ttl_ms()},
            {"elapsed_ms", lease.elapsed_ms()},
            {"safe_for_ms", safe_for.count()},
            {"next_renew_in_ms", lease.next_renew_in_ms()},
            {"durability", v1::Durability_Name(lease.durability())},
            {"replicas", lease.replicas()},
        };
        context.out << json_line(json);
        return;
    }
    context.out << "lease_id: " << show_text(lease.lease_id()) << '\n'
                << "name:     " << show_text(lease.name()) << '\n'
                << "token:    " << lease.fencing_token() << '\n'
                << "ttl:      " << show_duration(std::chrono::milliseconds{lease.ttl_ms()}) << '\n'
                << "safe_for: " << show_duration(safe_for) << " from now\n";
    if (lease.replicas() > 0) {
        context.out << "replicas: " << lease.replicas() << " or more have it\n";
    }
}

}  // namespace holdfast::cli
