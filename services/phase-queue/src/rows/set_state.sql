UPDATE queue_state SET active = $1 WHERE active <> $1
