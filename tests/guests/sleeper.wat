;; Waits as long as it is told, and says how long that was, in nanoseconds.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer))
    (export "pollable" (type $pollable (eq $outer)))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $now (canon lower (func $clock "now")))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core module $m
    (import "host" "now" (func $now (result i64)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "block" (func $block (param i32)))
    (func (export "sleep") (param $milliseconds i32) (result i64)
      (local $began i64)
      (local.set $began (call $now))
      (call $block (call $subscribe
        (i64.mul (i64.extend_i32_u (local.get $milliseconds)) (i64.const 1000000))))
      (i64.sub (call $now) (local.get $began))))
  (core instance $i (instantiate $m (with "host" (instance
    (export "now" (func $now))
    (export "subscribe" (func $subscribe))
    (export "block" (func $block))))))
  (func (export "sleep") (param "milliseconds" u32) (result u64) (canon lift (core func $i "sleep"))))
