import {
  type ProcessConfig,
  processConfig,
  processVariables,
  readEnvironment,
  variable,
} from '@messaging/service_kit/config';

export interface FrontendServiceConfig extends ProcessConfig {
  restPort: number;
  grpcPort: number;
}

/** Reads the configuration from the environment. @throws {ConfigError} for a value that can't be used. */
export function loadConfig(environment = process.env): FrontendServiceConfig {
  const variables = readEnvironment(
    { ...processVariables, REST_PORT: variable.port(8383), GRPC_PORT: variable.port(3030) },
    environment,
  );
  return { ...processConfig(variables), restPort: variables.REST_PORT, grpcPort: variables.GRPC_PORT };
}
