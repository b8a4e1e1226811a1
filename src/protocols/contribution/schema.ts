import { z } from 'zod'
import { hashSchema } from '../message.js'
import { MAX_RECORDS } from './constants.js'
import { recordSchema } from './record.js'

export const requestSchema = z.strictObject({ job: hashSchema })

export const answerSchema = z.strictObject({ records: z.array(recordSchema).max(MAX_RECORDS) })
