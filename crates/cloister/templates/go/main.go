// A program that does nothing by itself: what it exports is in export_wit_world, and bindings leads there.
package main

import _ "app.example/name-of-app/bindings/wit_exports"

func main() {}
