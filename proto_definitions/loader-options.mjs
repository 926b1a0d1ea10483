/**
 * How every .proto file is loaded. The type generator takes the same options, so the types describe
 * exactly what arrives at run time.
 *
 * @NOTE `oneofs: true` would add a phantom `_email` key for each proto3 `optional` field (grpc-node issue 2754).
 */
export const loaderOptions = {
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: false,
};
