;; Can be called, run and asked over HTTP. It does nothing then: a request over HTTP gets no response from it.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
  (core module $m
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "run") (result i32) (i32.const 0))
    (func (export "handle") (param i32 i32)))
  (core instance $i (instantiate $m))
  (func $add (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add")))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $i "handle")))
  (instance $sums (export "add" (func $add)))
  (instance $runs (export "run" (func $run)))
  (instance $handler (export "handle" (func $handle)))
  (export "test:entries/sums@1.2.0" (instance $sums))
  (export "wasi:cli/run@0.2.0" (instance $runs))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
