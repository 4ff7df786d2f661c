;; Reads a clock as often as it is told.
(component
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock (export "now" (func (result u64)))))
  (core func $now (canon lower (func $clock "now")))
  (core module $m
    (import "host" "now" (func $now (result i64)))
    (func (export "read") (param $left i32) (result i64)
      (local $last i64)
      (loop $more
        (local.set $last (call $now))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (i32.ne (local.get $left) (i32.const 0))))
      local.get $last))
  (core instance $i (instantiate $m (with "host" (instance (export "now" (func $now))))))
  (func (export "read") (param "reads" u32) (result u64) (canon lift (core func $i "read"))))
