SELECT count(*) AS letters
FROM dead_letters
WHERE projection = 'audit' AND stream_sequence >= $1 AND stream_sequence <= $2
