;; Imports what the image does not serve.
(component
  (import "wasi:sockets/tcp-create-socket@0.2.6" (instance
    (export "create-tcp-socket" (func))))
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func (export "f") (canon lift (core func $i "f"))))
