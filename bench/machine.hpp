#pragma once

/// What the machine can do, measured on the spot: the floors that benchmarks are held against.
namespace bench {

/// Floating-point operations per second of one core in float32; 0 without fused multiply-add.
double peak_flops();

/// Bytes per second that one thread reads and writes, a := a + 1 over memory of this size.
double bandwidth(double bytes);

}  // namespace bench
