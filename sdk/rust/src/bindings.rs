//! The Rust side of `wit/transform.wit`, generated, so that it cannot differ from the contract.

wit_bindgen::generate!({
    path: "wit",
    world: "weir:transform/transform",
    additional_derives: [PartialEq, Eq],
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "weir_sdk::bindings",
    runtime_path: "weir_sdk::wit_bindgen::rt",
});
