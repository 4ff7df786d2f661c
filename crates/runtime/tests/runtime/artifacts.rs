use crate::fixture::*;
use cloister_runtime::{ArtifactSeal, DeployError, RestoreError, Runtime, Settings};

fn seal() -> ArtifactSeal {
    ArtifactSeal::new([1; 32], [2; 32].into())
}

fn toolbox_artifact() -> (Vec<u8>, Vec<u8>) {
    let artifact = toolbox().artifact(&seal()).unwrap().parts().concat();
    (wat::parse_str(TOOLBOX).unwrap(), artifact)
}

#[tokio::test]
async fn a_restored_program_is_the_same_and_runs() {
    let (wasm, artifact) = toolbox_artifact();
    let runtime = Runtime::new(Settings::default()).unwrap();
    let restored = runtime.restore(&wasm, &artifact, &seal()).unwrap();
    let statistics = runtime.statistics();
    assert_eq!((statistics.compiled, statistics.restored), (0, 1));
    assert_eq!(statistics.pool.used, restored.code_bytes().next_multiple_of(4096));

    let original = toolbox();
    assert_eq!(restored.code_hash(), original.code_hash());
    assert_eq!(restored.size(), original.size());
    assert_eq!(restored.code_bytes(), original.code_bytes());
    assert_eq!(restored.compile_time().as_micros(), original.compile_time().as_micros());
    assert_eq!(restored.imports(), original.imports());
    assert_eq!(restored.exports(), original.exports());
    assert_eq!(restored.wit(), original.wit());
    assert_still_adds(&restored).await;
    let (fuel, again) = (call(original, "add", "[1,2]").await.unwrap().fuel, call(&restored, "add", "[1,2]"));
    assert_eq!(again.await.unwrap().fuel, fuel);
    assert!(call(&restored, "fail", "").await.is_err());
    let artifact_again = restored.artifact(&seal()).unwrap().parts().concat();
    assert!(artifact_again == artifact, "an artifact of a restored program is the same artifact");

    drop(restored);
    assert_eq!(runtime.statistics().pool.used, 0);
}

#[test]
fn an_artifact_for_something_else_is_refused() {
    let (wasm, artifact) = toolbox_artifact();
    let refused = |wasm: &[u8], artifact: &[u8], seal: &ArtifactSeal| {
        runtime().restore(wasm, artifact, seal).expect_err("refused")
    };
    let other_image = ArtifactSeal::new([9; 32], [2; 32].into());
    assert_eq!(refused(&wasm, &artifact, &other_image), RestoreError::OtherImage);
    let other_key = ArtifactSeal::new([1; 32], [9; 32].into());
    assert_eq!(refused(&wasm, &artifact, &other_key), RestoreError::Damaged);
    let other_wasm = wat::parse_str("(component)").unwrap();
    assert_eq!(refused(&other_wasm, &artifact, &seal()), RestoreError::OtherComponent);
    assert_eq!(refused(&wasm, b"", &seal()), RestoreError::Damaged);
    assert_eq!(refused(&wasm, &wasm, &seal()), RestoreError::NotAnArtifact);
    assert_eq!(refused(&wasm, &artifact[..artifact.len() / 2], &seal()), RestoreError::Damaged);
    let mut flipped = artifact.clone();
    flipped[artifact.len() / 2] ^= 1;
    assert_eq!(refused(&wasm, &flipped, &seal()), RestoreError::Damaged);
    assert_eq!(refused(b"\0asm", &artifact, &seal()), RestoreError::Component(DeployError::NotWasm));
}

#[test]
fn an_artifact_that_does_not_fit_the_pool_is_refused() {
    let (wasm, artifact) = toolbox_artifact();
    let settings = Settings { code_pool: artifact.len() / 2, ..Settings::default() };
    let small = Runtime::new(settings).unwrap();
    let refused = small.restore(&wasm, &artifact, &seal()).expect_err("refused");
    assert!(matches!(refused, RestoreError::Component(DeployError::CodePoolFull(_))), "{refused}");
    assert_eq!(small.statistics().pool.used, 0);
}
