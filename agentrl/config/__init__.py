"""Configuration: YAML files and ``key=value`` overrides into typed, strict, frozen objects.

An unknown key is an error with the nearest name.
"""

from agentrl.config.reading import (
    CONFIG_FOLDER,
    describe,
    find_file,
    load_config,
    parse_config,
    read_config,
    save_config,
)
from agentrl.config.schema import (
    ActorConfig,
    CheckpointConfig,
    CloningConfig,
    CriticConfig,
    DemonstrationsConfig,
    EnvironmentConfig,
    EvaluationConfig,
    LoggingConfig,
    LoraConfig,
    PolicyConfig,
    PretrainConfig,
    ReplayConfig,
    RolloutConfig,
    RunConfig,
    SamplerConfig,
    Section,
    StageConfig,
    VllmConfig,
    WarmupConfig,
)

__all__ = [
    "CONFIG_FOLDER",
    "ActorConfig",
    "CheckpointConfig",
    "CloningConfig",
    "CriticConfig",
    "DemonstrationsConfig",
    "EnvironmentConfig",
    "EvaluationConfig",
    "LoggingConfig",
    "LoraConfig",
    "PolicyConfig",
    "PretrainConfig",
    "ReplayConfig",
    "RolloutConfig",
    "RunConfig",
    "SamplerConfig",
    "Section",
    "StageConfig",
    "VllmConfig",
    "WarmupConfig",
    "describe",
    "find_file",
    "load_config",
    "parse_config",
    "read_config",
    "save_config",
]
