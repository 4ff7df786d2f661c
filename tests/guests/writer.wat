;; Writes "hello\n" to standard output as often as it is told.
(component
  (import "wasi:io/error@0.2.6" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (export "output-stream" (type $stream (sub resource)))
    (alias outer 1 $io-error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.6" (instance $stdout
    (alias outer 1 $output-stream (type $outer-stream))
    (export "output-stream" (type $stream (eq $outer-stream)))
    (export "get-stdout" (func (result (own $stream))))))
  (core module $memory (memory (export "memory") 1) (data (i32.const 64) "hello\n"))
  (core instance $memory (instantiate $memory))
  (core func $get (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower
    (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory "memory")))
  (core module $m
    (import "host" "get" (func $get (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "write") (param $times i32) (result i32)
      (local $stream i32) (local $left i32)
      (local.set $stream (call $get))
      (local.set $left (local.get $times))
      (block $done (loop $more
        (br_if $done (i32.eqz (local.get $left)))
        (call $write (local.get $stream) (i32.const 64) (i32.const 6) (i32.const 16))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $more)))
      local.get $times)
    (func (export "write-much") (param $bytes i32)
      (call $write (call $get) (i32.const 0) (local.get $bytes) (i32.const 16))))
  (core instance $i (instantiate $m (with "host" (instance
    (export "get" (func $get)) (export "write" (func $write))))))
  (func (export "write") (param "times" u32) (result u32) (canon lift (core func $i "write"))))
