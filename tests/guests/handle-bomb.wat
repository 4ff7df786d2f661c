;; Takes handles of a resource of its own, or of the host, until it is stopped.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer-pollable))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (type $own (resource (rep i32)))
  (core func $new (canon resource.new $own))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $m
    (import "host" "new" (func $new (param i32) (result i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (func (export "own") (loop $more (drop (call $new (i32.const 1))) (br $more)))
    (func (export "host") (loop $more (drop (call $subscribe (i64.const 1000000000))) (br $more))))
  (core instance $i (instantiate $m (with "host" (instance
    (export "new" (func $new)) (export "subscribe" (func $subscribe))))))
  (func (export "own") (canon lift (core func $i "own")))
  (func (export "host") (canon lift (core func $i "host"))))
