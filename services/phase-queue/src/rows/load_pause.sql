SELECT config_value = 'true' AS paused FROM queue_config WHERE config_key = 'queue_paused'
