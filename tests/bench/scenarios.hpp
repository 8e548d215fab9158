#pragma once

// What `bench` measures: each prints its tables, and its goals beside what came of them. All
// figures that are compared are of the same run.

namespace holdfast::bench {

void measure_unary();
void measure_session();
void measure_hot();
void measure_waiters();
void measure_leases();
void measure_topologies();
void measure_durable();

}  // namespace holdfast::bench
