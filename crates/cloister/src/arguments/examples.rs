//! Examples and notes at the end of each help text.

pub(super) const OVERVIEW: &str = "\
Exit codes: 0 ok, 1 internal, 2 usage, 3 cannot connect, 4 verification refused, 5 request refused,
            6 the call failed in the guest, 7 the server failed. `cloister --help` says more.";

pub(super) const OVERVIEW_LONG: &str = "\
Examples:
  cloister keygen                               make your key; prints its fingerprint
  cloister serve --owner FINGERPRINT            start an enclave that obeys it
  cloister verify                               see what the enclave proves
  cloister profile set default --mrenclave HEX  say which image you accept
  cloister deploy hello.wasm --public           upload a component that everybody may call
  cloister call hello greet '\"World\"'           call it

Nothing is sent to an enclave before it is verified: without --mrenclave (or a profile that has one) every
command but `verify` refuses.

Exit codes:
  0  ok
  1  internal error of this program
  2  usage: arguments, the profile, or a file of yours
  3  cannot connect
  4  verification refused: not the enclave, code or hardware that you accept
  5  request refused by the enclave (4xx): unknown app, wrong arguments, not your key
  6  the call failed in the guest: trap, fuel, a limit, time
  7  the server failed (5xx), or answered what is not the protocol
`cloister run` ends with the exit code of the command that it ran, and with 134 where that trapped.";

pub(super) const NEW_EXAMPLES: &str = "\
Examples:
  cloister new --lang rust notary
  cloister new --lang python notary --path apps/notary

The project is one small service, typed in WIT: it hashes through privasys:enclave-os and asks WASI for the time. Its README.md
says how to build, deploy, verify and call it. Files that exist are never overwritten.";

pub(super) const BUILD_EXAMPLES: &str = "\
Examples:
  cloister build
  cloister build apps/notary --test
  cloister build --format json | jq -r .code_hash

Runs what the project's cloister.toml says. Programs are found in PATH, or where a variable says: CLOISTER_CARGO, CLOISTER_NODE,
CLOISTER_NPM, CLOISTER_PYTHON, CLOISTER_COMPONENTIZE_PY, CLOISTER_ZIG, CLOISTER_GO.";

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  cloister serve --owner ~/.config/cloister/key.pem
  cloister serve --image target/image/cloister.sgxs --listen 0.0.0.0:8443 --owner FINGERPRINT
  cloister serve --owner FINGERPRINT --tpm /dev/tpmrm0
  cloister serve --owner-token staff=alice --issuer staff=https://id.example.com,audience=cloister --operator ops.pem
  cloister serve --owner FINGERPRINT --operator ops.pem --image-upgrade operator
  cloister serve --device soft --state ./state --listen 127.0.0.1:0 --format json
  cloister serve --device sgx --owner FINGERPRINT --pccs https://pccs.example:8081

With --format json, one line says that the enclave is ready:
  {\"event\":\"ready\",\"mrenclave\":\"…\",\"address\":\"127.0.0.1:8443\",\"device\":\"soft\",\"simulated_root\":\"…\",…}
The first Ctrl-C or SIGTERM lets calls under way finish (--grace), the second stops at once.";

pub(super) const UPGRADE_EXAMPLES: &str = "\
Examples:
  cloister upgrade --image next.sgxs --key operator.pem -o adopt.json
  cloister serve --image next.sgxs --adopt adopt.json --operator operator.pem --image-upgrade operator

On the machine of the enclave: both images have to run on the same CPU, which vouches for the one to the other. The new image gets
the volume only where `cloister serve --image-upgrade` allowed it at the volume's first start.";

pub(super) const DEPLOY_EXAMPLES: &str = "\
Examples:
  cloister deploy hello.wasm --public
  cloister deploy target/wasm32-wasip2/release/my_app.wasm --name my-app --fuel 100M --memory 128MiB
  cloister deploy ledger.wasm --max-storage 2GiB --max-files 100000
  cloister deploy site.wasm --assets ./public --files ./seed --dir /data::/var/data
  cloister deploy weather.wasm --allow https://api.example.com --allow lookup://*.example.com
  cloister deploy vault.wasm --configure-with configure
  cloister deploy records.wasm --caller read=token:staff/nurse --caller '*=key:FINGERPRINT' \\
      --issuer staff=https://id.example.com,audience=records
  cloister deploy ledger.wasm --upgrade endorsed:2:FINGERPRINT,FINGERPRINT,FINGERPRINT
  API_KEY=secret cloister deploy hello.wasm --env API_KEY --env LANG=en --timeout 5s";

pub(super) const REPLACE_EXAMPLES: &str = "\
Examples:
  cloister replace hello.wasm
  cloister replace build/v2.wasm --name hello --fuel 50M
  cloister replace v2.wasm --name ledger --upgrade frozen --endorsement alice.json --endorsement bob.json";

pub(super) const ENDORSE_EXAMPLES: &str = "\
Examples:
  cloister endorse ledger v2.wasm --owner FINGERPRINT --key alice.pem --out alice.json
  cloister endorse ledger v2.wasm --upgrade frozen --fuel 50M --owner owner.pem --key bob.pem --out bob.json";

pub(super) const CALL_EXAMPLES: &str = "\
Examples:
  cloister call hello greet '\"World\"'
  cloister call calc add 2 -3
  cloister call geo 'example:geo/points@1.0.0#distance' '{x: 0, y: 0}' '{x: 3, y: 4}'
  cloister call hello greet --json '{\"name\": \"World\"}'
  generate | cloister call stats mean --json - --format json | jq .result
  cloister call hello greet '\"World\"' --code-hash $(cloister hash --quiet hello.wasm)

The result goes to standard output, what the call cost to standard error.";

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  cloister run report
  cloister run sort --env LANG=C < unsorted.txt > sorted.txt
  cloister run tool --stats -- --verbose input.txt

Ends with the command's own exit code, and with 134 where it trapped or reached a limit. Where it did not run at all,
with the codes of all commands.";

pub(super) const APPS_EXAMPLES: &str = "\
Examples:
  cloister apps
  cloister apps --format json | jq -r '.apps[].name'";

pub(super) const DESCRIBE_EXAMPLES: &str = "\
Examples:
  cloister describe hello
  cloister describe hello --wit > hello.wit";

pub(super) const REMOVE_EXAMPLES: &str = "\
Examples:
  cloister remove hello";

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  cloister verify                                     show what the enclave says; refused, since nothing is pinned
  cloister verify enclave.example.com --mrenclave HEX
  cloister verify --app hello --code-hash HEX --mrenclave HEX
  cloister verify --mrenclave HEX --allow-simulated ROOT_FINGERPRINT
  cloister verify --app site --assets $(cloister assets-hash --quiet ./public) --mrenclave HEX
  cloister verify --app weather --allow https://api.example.com --mrenclave HEX
  cloister verify --app notary --extension 1=@key.der --certificate notary.pem --mrenclave HEX
  cloister verify --mrenclave HEX --evidence evidence.cmw
  cloister verify --min-epoch 1042 --freshness tpm:IDENTITY
  cloister verify --mrenclave HEX --identity HEX

Exit code 4 if the enclave is refused.";

pub(super) const LOGS_EXAMPLES: &str = "\
Examples:
  cloister logs hello
  cloister logs hello | tail
  cloister logs hello --follow";

pub(super) const EGRESS_EXAMPLES: &str = "\
Examples:
  cloister egress weather
  cloister egress weather --format json | jq '.requests[].host'

PEER is the first 8 hex digits of the SHA-256 of the server's certificate; JSON has all of them.";

pub(super) const PROXY_EXAMPLES: &str = "\
Examples:
  cloister proxy --mrenclave HEX
  cloister proxy --key owner.pem --listen 127.0.0.1:9000
  cloister proxy --policy policy.toml --app hello --wasm hello.wasm
  curl http://localhost:8080/v1/apps/hello/calls/greet --json '[\"World\"]'
  curl http://web.localhost:8080/

With --format json, one line says that it listens:
  {\"event\":\"ready\",\"address\":\"127.0.0.1:8080\",\"page\":\"http://localhost:8080/.cloister/\",\"mrenclave\":\"…\"}
Every program of this machine that reaches the port acts with your key. docs/proxy.md says what it refuses.";

pub(super) const METRICS_EXAMPLES: &str = "\
Examples:
  cloister metrics
  cloister metrics | grep fuel";

pub(super) const VOLUME_EXAMPLES: &str = "\
Examples:
  cloister volume stats
  cloister volume check
  cloister volume backup --out monday.backup
  cloister volume restore monday.backup --state ~/.local/state/cloister";

pub(super) const KEYGEN_EXAMPLES: &str = "\
Examples:
  cloister keygen
  cloister keygen --out alice.pem
  cloister keygen --out alice.pem --algorithm ed25519";

pub(super) const HASH_EXAMPLES: &str = "\
Examples:
  cloister hash hello.wasm
  cloister profile set default --pin hello=$(cloister hash --quiet hello.wasm)";

pub(super) const ASSETS_HASH_EXAMPLES: &str = "\
Examples:
  cloister assets-hash ./public
  cloister verify --app site --assets $(cloister assets-hash --quiet ./public)::/www";

pub(super) const IMAGE_EXAMPLES: &str = "\
Examples:
  cloister image check target/x86_64-fortanix-unknown-sgx/release/cloister-enclave
  cloister image sign target/image/cloister.sgxs --key signing-key.pem
  cloister image sign cloister.sgxs --product 1 --svn 3 --pkcs11-module /usr/lib/softhsm/libsofthsm2.so \
    --pkcs11-token release --pkcs11-key cloister
  cloister image digest cloister.sgxs --product 1 --svn 3 --out cloister.tbs
  openssl dgst -sha256 -sign key.pem -out cloister.signature cloister.tbs     # on the machine with the key
  cloister image attach cloister.tbs --signature cloister.signature --public-key public.pem --out cloister.sigstruct";

pub(super) const COLLATERAL_EXAMPLES: &str = "\
Examples:
  cloister collateral fetch --host enclave.example --pccs https://pccs.example:8081 --out collateral.json
  cloister collateral fetch quote.bin --pccs https://api.trustedservices.intel.com --out collateral.json
  cloister verify --collateral collateral.json";

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  cloister doctor
  cloister doctor --device sgx --pccs https://pccs.example:8081
  cloister doctor --format json | jq -r '.checks[] | select(.state == \"lacking\") | .check'";

pub(super) const POLICY_EXAMPLES: &str = "\
Examples:
  cloister policy init --host enclave.example.com --mrenclave HEX --out policy.toml
  cloister policy init --template --out policy.toml
  cloister policy check policy.toml
  cloister policy explain policy.toml
  cloister verify --policy policy.toml
  cloister call hello greet '\"World\"' --policy policy.toml

docs/policy.md has every key.";

pub(super) const PROFILE_EXAMPLES: &str = "\
Examples:
  cloister profile set default --host enclave.example.com --mrenclave HEX --key ~/.config/cloister/key.pem
  cloister profile set local --host 127.0.0.1:8443 --mrenclave HEX --allow-simulated ROOT_FINGERPRINT
  cloister profile set local --pin hello=HEX
  cloister profile show
  cloister --profile local call hello greet '\"World\"'";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  cloister completions bash > ~/.local/share/bash-completion/completions/cloister
  cloister completions zsh > ~/.zfunc/_cloister
  cloister completions fish > ~/.config/fish/completions/cloister.fish";
